package dataplane

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// processes are a program and the workers that it has started.
type processes []int

// family returns a process with its children.
func family(pid int) (processes, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return nil, err
	}
	list := processes{pid}
	for _, word := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		list = append(list, child)
	}
	return list, nil
}

// cpu is the processor time that the threads which live now have had.
func (p processes) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(files) == 0 {
			return 0, fmt.Errorf("process %d: no schedstat of its threads: has it ended? %w", pid, os.ErrNotExist)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a thread that has just ended
			}
			first, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

// memory is what of the processes is resident, in bytes.
func (p processes) memory() (int64, error) {
	var sum int64
	for _, pid := range p {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		kib, err := field(string(text), "Rss:")
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// descriptors counts the open ones.
func (p processes) descriptors() (int, error) {
	sum := 0
	for _, pid := range p {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return 0, err
		}
		sum += len(list)
	}
	return sum, nil
}

// field returns the number behind a word of /proc.
func field(text, name string) (int64, error) {
	words := strings.Fields(text)
	i := slices.Index(words, name)
	if i < 0 || i+1 == len(words) {
		return 0, fmt.Errorf("no %q in %.200q", name, text)
	}
	return strconv.ParseInt(words[i+1], 10, 64)
}
