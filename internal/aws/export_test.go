package aws

// NewLog is newLog.
var NewLog = newLog
