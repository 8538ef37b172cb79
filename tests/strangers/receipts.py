"""Checks receipts with aics-tlog, which knows nothing of Oubliette: a folder with policy.txt and files *.tlog-proof.

Prints one line for each file: its name, and `good` or why it is not.
"""

import base64
import pathlib
import sys

from aics_tlog.checkpoint import checkpoint_from_note
from aics_tlog.note import parse_vkey, verify_note
from aics_tlog.tree import verify_leaf_inclusion


def check(text, key):
    proof, note = text.split("\n\n", 1)
    form, extra, index, *hashes = proof.split("\n")
    if form != "c2sp.org/tlog-proof@v1":
        return "not a proof"
    entry = base64.b64decode(extra.removeprefix("extra "), validate=True)
    checkpoint, note = checkpoint_from_note(note)
    if checkpoint.origin != key.name or not verify_note(note, [key]):
        return "not signed"
    path = [base64.b64decode(line, validate=True) for line in hashes]
    index = int(index.removeprefix("index "))
    included = verify_leaf_inclusion(entry, index, checkpoint.size, path, checkpoint.root)
    return "good" if included else "not included"


folder = pathlib.Path(sys.argv[1])
key = parse_vkey((folder / "policy.txt").read_text().split()[1])
for file in sorted(folder.glob("*.tlog-proof")):
    try:
        verdict = check(file.read_text(), key)
    except ValueError as error:
        verdict = f"malformed: {error}"
    print(file.stem, verdict)
