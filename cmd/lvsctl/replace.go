package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// replaceFile gives a file another content at once: who reads it sees the old
// or the new one, also after a crash. Mode and owner stay. A symbolic link
// stays one, and the file that it names is replaced.
func replaceFile(path string, content []byte) (err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return fmt.Errorf("replace %s: %w: the folder must be writable", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("replace %s: %w", path, err)
		}
	}()
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	// The owner first: to change it clears bits of the mode.
	if err := keepOwner(tmp, info); err != nil {
		return fmt.Errorf("its owner cannot be kept: %w", err)
	}
	if err := tmp.Chmod(info.Mode()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		return err
	}
	syncFolder(filepath.Dir(target))
	return nil
}

// syncFolder makes a rename last, where folders can be synced; the content is
// on the disk already, so that nothing is lost if not.
func syncFolder(path string) {
	if dir, err := os.Open(path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
