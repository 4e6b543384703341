package journal

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"golang.org/x/sys/unix"
)

// slack is what a journal may grow by, beside to twice its size.
const slack = 1 << 20

// Journal is a file that is open to be appended to. Calls come one at a time, from the only collector that has the directory.
type Journal struct {
	dir  int
	name string

	file *os.File // nil if there is none
	size int64
	base int64 // after the last compaction
}

// Open reads the journal of a name in an open directory, which belongs to this user or to root, and begins a new one with what the
// old one says. If that is nothing, there is none until the first compaction. What others have put in its place is not read, and is replaced then. The journal is there, and what
// was read is right, though there is an error, unless no descriptor is left.
func Open(dir int, name string) (*Journal, State, error) {
	own, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	j := &Journal{dir: own, name: name}
	state, err := j.read()
	if len(state) > 0 {
		err = errors.Join(err, j.Compact(state.Frames()))
	}
	return j, state, err
}

func (j *Journal) read() (State, error) {
	fd, err := unix.Openat(j.dir, j.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("open %s: %w", j.name, err)
	}
	file := os.NewFile(uintptr(fd), j.name)
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return State{}, fmt.Errorf("stat %s: %w", j.name, err)
	}
	if !ours(&st) {
		return State{}, nil
	}
	return replay(file, st.Size), nil
}

// ours says whether a file can have been written by a collector of this user, and by nobody else.
func ours(st *unix.Stat_t) bool {
	return st.Mode&(unix.S_IFMT|0o7777) == unix.S_IFREG|0o600 && st.Nlink == 1 && int(st.Uid) == os.Geteuid()
}

// Lost says that nothing is written until the next compaction, or that the file is not where the next collector looks for it.
func (j *Journal) Lost() bool {
	var st, own unix.Stat_t
	return j.file == nil || unix.Fstatat(j.dir, j.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil ||
		unix.Fstat(int(j.file.Fd()), &own) != nil || st.Dev != own.Dev || st.Ino != own.Ino || !ours(&st)
}

// Full says that it is time for a compaction.
func (j *Journal) Full() bool { return j.file != nil && j.size > 2*j.base+slack }

// Append appends a frame. If that fails the journal is lost; of one that is, Append does nothing.
func (j *Journal) Append(f *Frame) error {
	if j.file == nil {
		return nil
	}
	n, err := write(j.file, f)
	j.size += n
	if err != nil {
		return errors.Join(fmt.Errorf("append to %s: %w", j.name, err), j.lose())
	}
	return nil
}

func write(to io.Writer, f *Frame) (int64, error) {
	if f.Empty() {
		return 0, nil
	}
	if len(f.bytes)-frameHeader > maxPayload {
		return 0, errTooLarge
	}
	n, err := to.Write(f.seal())
	return int64(n), err
}

var errTooLarge = fmt.Errorf("a frame of more than %d bytes", maxPayload)

// lose removes the file: of what it says something is out of date.
func (j *Journal) lose() error {
	j.release()
	return remove(j.dir, j.name)
}

// Compact writes a new journal, of frames that say everything there is to say, in the place of the one that there is. If that
// fails a journal that was not lost goes on.
func (j *Journal) Compact(frames iter.Seq[*Frame]) error {
	temporary := j.name + ".new"
	file, size, err := j.begin(temporary, frames)
	if err == nil {
		err = j.replace(temporary)
	}
	if err != nil {
		err = fmt.Errorf("write %s: %w", j.name, err)
		if file != nil {
			file.Close()
			err = errors.Join(err, remove(j.dir, temporary))
		}
		if j.file == nil {
			return errors.Join(err, remove(j.dir, j.name))
		}
		j.base = j.size // to be tried again once it has doubled
		return err
	}
	j.release()
	j.file, j.size, j.base = file, size, size
	return nil
}

// begin writes a file. It returns the file with an error, too, once it has a name.
func (j *Journal) begin(name string, frames iter.Seq[*Frame]) (*os.File, int64, error) {
	if err := remove(j.dir, name); err != nil {
		return nil, 0, err
	}
	fd, err := unix.Openat(j.dir, name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	file := os.NewFile(uintptr(fd), j.name)
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return file, 0, err
	}
	buffered := bufio.NewWriterSize(file, 1<<18)
	size := int64(len(magic))
	_, err = buffered.WriteString(magic)
	for f := range frames {
		if err != nil {
			break
		}
		var n int64
		n, err = write(buffered, f)
		size += n
	}
	return file, size, errors.Join(err, buffered.Flush())
}

// replace gives the new file its name. Another file makes way for it, a directory does not.
func (j *Journal) replace(temporary string) error {
	err := unix.Renameat(j.dir, temporary, j.dir, j.name)
	if errors.Is(err, unix.EISDIR) {
		if err := remove(j.dir, j.name); err != nil {
			return err
		}
		err = unix.Renameat(j.dir, temporary, j.dir, j.name)
	}
	return err
}

// remove makes a name free.
func remove(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) {
		// It may not be empty; renaming it always works.
		err = unix.Renameat(dir, name, dir, ".evicted-"+rand.Text())
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Close closes the file. It stays where it is, for the next collector.
func (j *Journal) Close() {
	j.release()
	unix.Close(j.dir)
	j.dir = -1
}

func (j *Journal) release() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}
