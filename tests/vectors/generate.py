"""Writes the frozen vectors of this folder, from the documented formats alone (docs/architecture.md).

Needs the PyPI package cryptography (with OpenSSL 3.2 or later). Run once per format; never again over
files that were released: they say what old bytes look like.
"""

import hashlib
import hmac
import json
import pathlib
import struct
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

HERE = pathlib.Path(__file__).parent


def fixed(label, length):
    return hashlib.shake_128(label.encode()).digest(length)


def seal(key, nonce, subject, version, attribute, plaintext):
    header = struct.pack(">BBI", 1, 1, version)
    parts = [header, attribute.encode(), subject.bytes]
    aad = b"".join(struct.pack(">H", len(part)) + part for part in parts)
    return header + nonce + AESGCMSIV(key).encrypt(nonce, plaintext.encode(), aad)


def wrap(key, nonce, name, subject, version, data_key):
    parts = [b"\1\1", f"local:{name}".encode(), b"subject", str(subject).encode(), b"version", str(version).encode()]
    aad = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return b"\1\1" + nonce + AESGCMSIV(key).encrypt(nonce, data_key, aad)


def index_mac(key, *parts):
    parts = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return hmac.digest(key, b"".join(struct.pack(">Q", len(part)) + part for part in parts), "sha256")


def tag(key, attribute, rules, value):
    return index_mac(key, "oubliette index 1", attribute, rules, value)[:16]


attributes, data_keys = [], []
for number, (version, attribute, plaintext) in enumerate([
    (1, "users.email", "ada@example.com"),
    (1, "users.phone", "+442079460958"),
    (2, "users.email", "jürgen.müller@bücher.example"),
    (2**31 - 1, "users.phone", "+4930901820"),
    (1, "users.email", "x" * 64 + "@" + "y" * 60 + ".example"),
]):
    subject = uuid.UUID(bytes=fixed(f"subject {number}", 16), version=4)
    key, nonce = fixed(f"key {number}", 32), fixed(f"nonce {number}", 12)
    sealed = seal(key, nonce, subject, version, attribute, plaintext)
    attributes.append({
        "data_key": key.hex(), "subject": str(subject), "version": version,
        "attribute": attribute, "plaintext": plaintext, "sealed": sealed.hex(),
    })
    wrapping_key, name = fixed(f"wrapping key {number}", 32), f"20261123-{number:06x}"
    wrapped = wrap(wrapping_key, fixed(f"wrap nonce {number}", 12), name, subject, version, key)
    data_keys.append({
        "wrapping_key_name": name, "wrapping_key": wrapping_key.hex(), "subject": str(subject),
        "version": version, "data_key": key.hex(), "wrapped": wrapped.hex(),
    })

index_tags = []
for number, (attribute, rules, value) in enumerate([
    ("email", "email/1", "ada@example.com"),
    ("email", "email/1", "jürgen.müller@xn--bcher-kva.example"),
    ("phone", "phone/1", "+442079460958"),
    ("national_id", "text/1 trim uppercase", "AB123456C"),
    ("national_id", "text/1", ""),
]):
    key = fixed(f"index key {number}", 32)
    index_tags.append({
        "key": key.hex(), "attribute": attribute, "rules": rules, "value": value,
        "tag": tag(key, attribute, rules, value).hex(),
    })

for number, (attribute, rules, value) in enumerate([
    ("phone", "phone/1 second:1234abcd-12ab-34cd-56ef-1234567890ab", "+442079460958"),
    ("national_id", "text/1 trim uppercase second:mrk-1234abcd12ab34cd56ef1234567890ab", "AB123456C"),
]):
    key, mac_key = fixed(f"second index key {number}", 32), fixed(f"mac key {number}", 32)
    blinded = index_mac(key, "oubliette index blinded 1", attribute, rules, value)
    mac = hmac.digest(mac_key, blinded, "sha256")
    index_tags.append({
        "key": key.hex(), "attribute": attribute, "rules": rules, "value": value,
        "blinded": blinded.hex(), "mac": mac.hex(), "tag": tag(key, attribute, rules, mac).hex(),
    })

for name, vectors in [("attributes", attributes), ("local_data_keys", data_keys), ("index_tags", index_tags)]:
    text = json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"
    (HERE / f"{name}.json").write_text(text, encoding="utf-8")
