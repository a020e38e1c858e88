package kernels

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed kernel.config
var ownConfig string

// configHash identifies the configuration of the kernel "own".
func configHash() string {
	sum := sha256.Sum256([]byte(strings.Join(wanted(ownConfig), "\n")))
	return hex.EncodeToString(sum[:6])
}

// wanted lists the settings of a configuration, sorted, without comments.
func wanted(config string) []string {
	var out []string
	for line := range strings.Lines(config) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "CONFIG_") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkConfig returns an error that names every setting of want which a
// kernel's full configuration does not have.
func checkConfig(want, have string) error {
	got := wanted(have)
	var lost []string
	for _, w := range wanted(want) {
		if _, ok := slices.BinarySearch(got, w); !ok {
			lost = append(lost, w)
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("the kernel lacks %d of the settings asked for (a missing parent drops a setting silently): %s", len(lost), strings.Join(lost, " "))
	}
	return nil
}

// configLimit bounds the configuration read out of a kernel.
const configLimit = 1 << 20

// embeddedConfig reads the configuration that a kernel with IKCONFIG carries:
// compressed between two marks (kernel/configs.c).
func embeddedConfig(kernel []byte) (string, error) {
	_, rest, ok := bytes.Cut(kernel, []byte("IKCFG_ST"))
	if !ok {
		return "", errors.New("the kernel does not carry its configuration (CONFIG_IKCONFIG)")
	}
	packed, _, ok := bytes.Cut(rest, []byte("IKCFG_ED"))
	if !ok {
		return "", errors.New("the configuration in the kernel has no end")
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", fmt.Errorf("configuration in the kernel: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, configLimit+1))
	if err != nil {
		return "", fmt.Errorf("configuration in the kernel: %w", err)
	}
	if len(b) > configLimit {
		return "", fmt.Errorf("configuration in the kernel is longer than %d bytes", configLimit)
	}
	return string(b), nil
}
