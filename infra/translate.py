"""Prints the stack that CloudFormation makes of a SAM template, as JSON.

Usage: translate.py TEMPLATE

It asks AWS nothing: functions' code stands in for what `sam package` would
have uploaded.
"""

import json
import os
import sys

# The translator fills in pseudo parameters from the Region it believes to be in.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.public.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402


def main(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file)
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    try:
        translated = Translator({}, Parser()).translate(template, {})
    except InvalidDocumentException as refusal:
        sys.exit("\n".join(cause.message for cause in refusal.causes))
    json.dump(translated, sys.stdout, indent=1)


main(*sys.argv[1:])
