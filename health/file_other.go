//go:build !linux

package health

import (
	"errors"
	"os"
)

func watchFolder(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func folderGone([]byte) bool { return false }
