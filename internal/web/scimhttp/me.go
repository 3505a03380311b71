package scimhttp

// me answers every method at /Me (RFC 7644 §3.11). The alias stands for the
// resource of the authenticated subject. A credential here is a directory's, and
// a directory is no user: there is nothing that the alias could mean, so the
// answer is the first of the three that the RFC allows, 501, without a Location.
func (c *call) me() error { return errMe }

var errMe = &unsupportedError{"The client is a directory, not a user: there is no /Me."}
