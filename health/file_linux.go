package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watchFolder tells of changes to the files of a folder: each read gives
// events as in inotify(7). What is not yet written in full is left out.
func watchFolder(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("%w; raise fs.inotify.max_user_instances", err)
	}
	if err != nil {
		return nil, err
	}
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.ENOSPC) {
			err = fmt.Errorf("%w; raise fs.inotify.max_user_watches", err)
		}
		return nil, err
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// folderGone tells whether one of the events ends the watch.
func folderGone(b []byte) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		if binary.NativeEndian.Uint32(b[4:])&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0 {
			return true
		}
		next := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		b = b[min(next, len(b)):]
	}
	return false
}
