package convert

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// IncludeFrom returns a function for [KeepalivedOptions] that finds included
// files in a file system: os.DirFS("/") for those of the machine, with an
// absolute name for the first file. Patterns are
// those of [path.Match], and braces with commas between list several.
func IncludeFrom(fsys fs.FS) func(folder, pattern string) ([]Included, error) {
	return func(folder, pattern string) ([]Included, error) {
		if !path.IsAbs(pattern) {
			pattern = path.Join(folder, pattern)
		}
		patterns, err := expandBraces(pattern)
		if err != nil {
			return nil, err
		}
		var files []Included
		for _, p := range patterns {
			names, err := fs.Glob(fsys, strings.TrimPrefix(path.Clean(p), "/"))
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", p, err)
			}
			for _, name := range names {
				if info, err := fs.Stat(fsys, name); err != nil || info.IsDir() {
					continue // as if it did not match
				}
				if len(files) >= MaxKeepalivedFiles {
					return nil, fmt.Errorf("more than %d files match; name fewer", MaxKeepalivedFiles)
				}
				text, err := readBounded(fsys, name)
				if err != nil {
					return nil, err
				}
				if path.IsAbs(p) {
					name = "/" + name
				}
				files = append(files, Included{Name: name, Text: text})
			}
		}
		return files, nil
	}
}

// readBounded reads no more of a file than one byte past the limit, so that
// the reader can tell.
func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxKeepalivedSize+1))
}

// expandBraces turns a{b,c}d into abd and acd, from the inside out.
func expandBraces(pattern string) ([]string, error) {
	out := []string{pattern}
	for i := 0; i < len(out); {
		p := out[i]
		end := strings.IndexByte(p, '}')
		start := -1
		if end > 0 {
			start = strings.LastIndexByte(p[:end], '{')
		}
		if start < 0 {
			i++
			continue
		}
		var made []string
		for word := range strings.SplitSeq(p[start+1:end], ",") {
			made = append(made, p[:start]+word+p[end+1:])
		}
		out = append(out[:i:i], append(made, out[i+1:]...)...)
		if len(out) > MaxKeepalivedFiles {
			return nil, fmt.Errorf("pattern %q: its braces make more than %d names", clip(pattern), MaxKeepalivedFiles)
		}
	}
	return out, nil
}
