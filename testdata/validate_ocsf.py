#!/usr/bin/env python3
"""OCSF NDJSON on stdin -> is every document valid OCSF 1.8?

Each document is checked against the JSON Schema (Draft 2020-12) of its own class (`class_uid`) with its own profiles
(`metadata.profiles`): no unknown attribute, no missing required one, types, enums and patterns as OCSF defines them.
Beyond the JSON Schema: type_uid is class_uid * 100 + activity_id, and the text beside an enum (`severity` beside
`severity_id`) is that value's caption, unless the value is 99 (Other), where it is the source's own word.
The schemas are those packaged in `ocsf-json-schema`; Palisade's code is not asked.

stderr: the first errors, `line N: class: path: what`.  stdout: {"documents": N, "invalid": M, "classes": {name: N}}.
Exit 0 if all are valid, 1 if any is not or fewer than --at-least came (nothing checked proves nothing), 2 on usage.
"""

import argparse
import json
import sys
from collections import Counter

try:
    from jsonschema import Draft202012Validator
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
except ImportError as missing:
    sys.exit(f"{missing}: run .ci/setup, and this script with its Python (PALISADE_PYTHON)")

VERSION = "1.8.0"
OTHER = 99


class Invalid(Exception):
    """Why a document is not valid; the text is for a person."""


class Validators:
    """One compiled validator a class and set of profiles."""

    def __init__(self):
        self._ocsf = OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))
        self._compiled = {}

    def of(self, document):
        """The class's name and validator. Raises Invalid if the document does not say which."""
        class_uid = document.get("class_uid")
        metadata = document.get("metadata")
        if type(class_uid) is not int:
            raise Invalid(f"class_uid: {class_uid!r} is not an integer")
        if not isinstance(metadata, dict) or metadata.get("version") != VERSION:
            raise Invalid(f"metadata.version: not {VERSION!r}")
        profiles = metadata.get("profiles", [])
        if not isinstance(profiles, list) or not all(isinstance(p, str) for p in profiles):
            raise Invalid(f"metadata.profiles: {profiles!r} is not a list of strings")
        key = (class_uid, tuple(sorted(set(profiles))))
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
        return self._compiled[key]

    def captions(self, name, document):
        """Errors of the texts that stand beside enums, at any depth."""
        return list(self._captions(self._ocsf.schema.schema["classes"][name]["attributes"], document, "$"))

    def _captions(self, attributes, value, path):
        for key in value.keys() & attributes.keys():
            attribute, child = attributes[key], value[key]
            sibling, enum = attribute.get("sibling"), attribute.get("enum")
            if enum and sibling in value and child != OTHER and not isinstance(child, list):
                caption = enum.get(str(child), {}).get("caption")
                if value[sibling] != caption:
                    yield f"{path}.{sibling}: {value[sibling]!r} beside {key} {child}, which is {caption!r}"
            if attribute["type"] == "object_t":
                nested = self._ocsf.schema.schema["objects"][attribute["object_type"]]["attributes"]
                for object_ in child if isinstance(child, list) else [child]:
                    yield from self._captions(nested, object_, f"{path}.{key}")

    def _compile(self, class_uid, profiles):
        try:
            name = self._ocsf.lookup_class_name_from_uid(class_uid)
        except ValueError as unknown:
            raise Invalid(f"class_uid: {unknown}") from None
        schema = self._ocsf.get_class_schema(name, list(profiles))
        Draft202012Validator.check_schema(schema)
        return name, Draft202012Validator(schema)


def reject_constant(text):
    raise ValueError(f"{text} is not JSON")


def errors_of(line, validators):
    """(class or "?", [what is wrong, ...]) of one line."""
    try:
        document = json.loads(line, parse_constant=reject_constant)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        return "?", [f"not JSON: {error}"]
    if not isinstance(document, dict):
        return "?", ["not a JSON object"]
    try:
        name, validator = validators.of(document)
    except Invalid as invalid:
        return "?", [str(invalid)]
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
    if errors:
        return name, errors
    want = document["class_uid"] * 100 + document["activity_id"]
    if document["type_uid"] != want:
        errors.append(f"$.type_uid: {document['type_uid']}, not {want}")
    return name, errors + validators.captions(name, document)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--errors", type=int, default=20, metavar="N", help="print at most N errors (default 20)")
    parser.add_argument("--at-least", type=int, default=1, metavar="N", help="fail if fewer documents came (default 1)")
    options = parser.parse_args()
    validators, classes, invalid, printed = Validators(), Counter(), 0, 0
    for number, line in enumerate(sys.stdin.buffer, start=1):
        name, errors = errors_of(line, validators)
        classes[name] += 1
        invalid += bool(errors)
        for error in errors[: max(0, options.errors - printed)]:
            print(f"line {number}: {name}: {error}", file=sys.stderr)
            printed += 1
    documents = sum(classes.values())
    if documents < options.at_least:
        print(f"{documents} documents came, at least {options.at_least} were expected", file=sys.stderr)
    print(json.dumps({"documents": documents, "invalid": invalid, "classes": dict(sorted(classes.items()))}))
    return 1 if invalid or documents < options.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
