// Checks receipts with the Go project's own packages for notes and logs, which know nothing of Oubliette.
//
// Arguments: the log's public key, as policies have it, and the receipts' files. For each good one it prints "ok" and the
// index of the entry. For each other one it says why on stderr, and it exits with 1.
//
// It needs no network, and Debian's packages golang-go and golang-golang-x-mod-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run tests/strangers/receipts.go KEY FILE...
package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// decode reads Base64 that is written in the only right way. Go's own decoder takes line breaks and loose bits at the end.
func decode(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err == nil && base64.StdEncoding.EncodeToString(data) != text {
		err = errors.New("Base64 that is not written in the only right way")
	}
	return data, err
}

func decodeHash(text string) (hash tlog.Hash, err error) {
	data, err := decode(text)
	if err == nil && len(data) != tlog.HashSize {
		err = fmt.Errorf("a hash of %d bytes", len(data))
	}
	copy(hash[:], data)
	return hash, err
}

// decodeNumber reads a number without a sign and without leading zeros.
func decodeNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (number < 0 || strconv.FormatInt(number, 10) != text) {
		err = fmt.Errorf("%q is not how that number is written", text)
	}
	return number, err
}

// open checks the signature of a checkpoint, and reads it: c2sp.org/tlog-checkpoint in c2sp.org/signed-note.
// tlog.ParseTree does not, since it wants the name of Go's own log in the first line.
func open(text string, log note.Verifier) (tree tlog.Tree, err error) {
	opened, err := note.Open([]byte(text), note.VerifierList(log))
	if err != nil {
		return tree, err
	}
	// note.Open takes loose bits at the end of a signature.
	for _, signature := range append(opened.Sigs, opened.UnverifiedSigs...) {
		if _, err := decode(signature.Base64); err != nil {
			return tree, fmt.Errorf("a signature: %w", err)
		}
	}
	// Lines after the third are allowed, and say nothing here. The last line is ended, too.
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		return tree, errors.New("the checkpoint has too few lines")
	}
	if lines[0] != log.Name() {
		return tree, fmt.Errorf("the checkpoint is of %q", lines[0])
	}
	if tree.N, err = decodeNumber(lines[1]); err != nil {
		return tree, fmt.Errorf("the size: %w", err)
	}
	if tree.Hash, err = decodeHash(lines[2]); err != nil {
		return tree, fmt.Errorf("the root: %w", err)
	}
	return tree, nil
}

// check reads a receipt, a c2sp.org/tlog-proof, and gives the index of its entry if all of it is right.
func check(text string, log note.Verifier) (index int64, err error) {
	proof, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(proof, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, errors.New("not a proof")
	}
	if !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return 0, errors.New("no line with the entry, or none with the index")
	}
	entry, err := decode(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return 0, fmt.Errorf("the entry: %w", err)
	}
	if index, err = decodeNumber(strings.TrimPrefix(lines[2], "index ")); err != nil {
		return 0, fmt.Errorf("the index: %w", err)
	}
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := decodeHash(line)
		if err != nil {
			return 0, fmt.Errorf("the proof: %w", err)
		}
		path = append(path, hash)
	}
	tree, err := open(checkpoint, log)
	if err != nil {
		return 0, err
	}
	return index, tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "arguments: PUBLIC_KEY RECEIPT...")
		os.Exit(1)
	}
	log, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := 0
	for _, name := range os.Args[2:] {
		var index int64
		text, err := os.ReadFile(name)
		if err == nil {
			index, err = check(string(text), log)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			status = 1
			continue
		}
		fmt.Println("ok", index)
	}
	os.Exit(status)
}
