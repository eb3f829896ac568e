/*
 * A disk between a program and its data directory, for the figures R17 and R18. Preloaded into the
 * program under test; never part of the product.
 *
 * It watches the files directly below DISK_SHIM_ROOT and can
 *  - keep a journal (DISK_SHIM_JOURNAL) of what changes them and of what is promised to be durable,
 *    together with every line written to standard output, in the one order in which it happened;
 *  - let calls fail as a plan says (DISK_SHIM_PLAN, a file that is shared with whoever writes the plan);
 *  - lie (DISK_SHIM_LIE=1): a sync is promised and not kept. This is the control.
 *
 * Records: kind, inode, offset, length (1 + 8 + 8 + 4 bytes, little endian as the machine), then the bytes.
 *   C create (name)   W write       T truncate to offset   S file synced   L file said to be synced, but not
 *   D directory synced   R rename (from NUL to)   H link (from NUL to)   U unlink (name)
 *   A line on standard output   X something this shim does not understand: the journal is worthless
 *
 * All calls go straight to the kernel, so that nothing here depends on the order in which libraries load.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define NAME_BYTES 512

/* What fails, and when. Counted are the calls that the mode is about, from 1. */
struct plan {
    uint32_t mode; /* see below; 0 for nothing */
    uint32_t unused;
    uint64_t from;  /* the first call that fails */
    uint64_t count; /* how many fail from there on */
    uint64_t seen;  /* calls so far; whoever changes the mode sets it to 0 */
    uint64_t hit;   /* failures so far */
};

enum {
    NO_SPACE = 1,    /* writing fails with ENOSPC; the first time half of it is written */
    WRITE_ERROR = 2, /* writing fails with EIO */
    SYNC_ERROR = 3,  /* syncing fails with EIO */
    PRETEND = 4,     /* writing fails and says that it worked: the control */
};

struct file {
    int watched;
    int is_dir;
    int is_index; /* the shared index of the write-ahead log: rebuilt after every crash, so not part of images */
    uint64_t inode;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES];
static char root[NAME_BYTES];
static size_t root_len;
static int journal = -1;
static int lies;
static struct plan *plan;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("DISK_SHIM_ROOT");
    if (text == NULL || strlen(text) >= sizeof root) return;
    strcpy(root, text);
    root_len = strlen(root);
    const char *path = getenv("DISK_SHIM_JOURNAL");
    if (path != NULL)
        journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const char *lie = getenv("DISK_SHIM_LIE");
    lies = lie != NULL && lie[0] == '1';
    path = getenv("DISK_SHIM_PLAN");
    if (path != NULL) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
        void *at = (void *)syscall(SYS_mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
        syscall(SYS_close, fd);
        if (at != MAP_FAILED) plan = at;
    }
}

static void record(char kind, uint64_t inode, uint64_t offset, const void *bytes, size_t length) {
    if (journal < 0) return;
    unsigned char head[21];
    uint32_t len = (uint32_t)length;
    int kept = errno;
    head[0] = (unsigned char)kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &len, 4);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    ssize_t written = syscall(SYS_writev, journal, parts, 2);
    if (written != (ssize_t)(sizeof head + length)) abort();
    errno = kept;
}

/* The name below the root, or NULL. */
static const char *inside(const char *path) {
    if (root_len == 0 || path == NULL || strncmp(path, root, root_len) != 0 || path[root_len] != '/') return NULL;
    const char *name = path + root_len + 1;
    if (*name == 0) return NULL;
    if (strchr(name, '/') != NULL) {
        record('X', 0, 0, path, strlen(path));
        return NULL;
    }
    return name;
}

static int is_root(const char *path) {
    return root_len > 0 && path != NULL && strncmp(path, root, root_len) == 0 &&
           (path[root_len] == 0 || (path[root_len] == '/' && path[root_len + 1] == 0));
}

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static struct file *watched(int fd) {
    return fd >= 0 && fd < FILES && files[fd].watched ? &files[fd] : NULL;
}

/* Whether this call of the kind `syncing` or writing is one that is to fail; the lock is held. */
static int fails(int syncing) {
    if (plan == NULL) return 0;
    uint32_t mode = __atomic_load_n(&plan->mode, __ATOMIC_SEQ_CST);
    if (mode == 0 || (mode == SYNC_ERROR) != (syncing != 0)) return 0;
    uint64_t n = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_SEQ_CST);
    if (n < plan->from || n - plan->from >= plan->count) return 0;
    __atomic_add_fetch(&plan->hit, 1, __ATOMIC_SEQ_CST);
    return (int)mode;
}

static int refused(int mode) {
    errno = mode == NO_SPACE ? ENOSPC : EIO;
    return -1;
}

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    const char *name = dir == AT_FDCWD || (path != NULL && path[0] == '/') ? inside(path) : NULL;
    if (name == NULL) {
        int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
        if (fd >= 0 && fd < FILES) {
            pthread_mutex_lock(&lock);
            memset(&files[fd], 0, sizeof files[fd]);
            if (is_root(path)) files[fd].watched = files[fd].is_dir = 1;
            pthread_mutex_unlock(&lock);
        }
        return fd;
    }
    pthread_mutex_lock(&lock);
    struct stat st;
    int index = ends_with(name, "-shm");
    int made = (flags & O_CREAT) != 0 && syscall(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0;
    int how = made ? fails(0) : 0;
    if (how != 0 && how != PRETEND) {
        pthread_mutex_unlock(&lock);
        return refused(how);
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= FILES) record('X', 0, 0, "too many files", 14);
    if (fd >= 0 && fd < FILES && syscall(SYS_fstat, fd, &st) == 0) {
        files[fd] = (struct file){1, 0, index, (uint64_t)st.st_ino};
        if (!index && made) record('C', files[fd].inode, 0, name, strlen(name));
        if (!index && !made && (flags & O_TRUNC) != 0) record('T', files[fd].inode, 0, "", 0);
        if ((flags & O_TMPFILE) == O_TMPFILE) record('X', 0, 0, "O_TMPFILE", 9);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                       \
    int name(const char *path, int flags, ...) {         \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return open_at(AT_FDCWD, path, flags, mode);     \
    }
#define OPEN_AT(name)                                    \
    int name(int dir, const char *path, int flags, ...) {\
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return open_at(dir, path, flags, mode);          \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FILES) memset(&files[fd], 0, sizeof files[fd]);
    int ended = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return ended;
}

static int copied(int from, int to) {
    if (to >= 0 && to < FILES && from >= 0 && from < FILES) files[to] = files[from];
    return to;
}

static int control(int fd, int cmd, long arg) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fcntl, fd, cmd, arg);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) result = copied(fd, result);
    pthread_mutex_unlock(&lock);
    return result;
}

#define FCNTL(name)                             \
    int name(int fd, int cmd, ...) {            \
        va_list rest;                           \
        va_start(rest, cmd);                    \
        long arg = va_arg(rest, long);          \
        va_end(rest);                           \
        return control(fd, cmd, arg);           \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int dup(int fd) { return control(fd, F_DUPFD, 0); }

/* `at` < 0: at the file's own position. */
static ssize_t write_at(int fd, const void *bytes, size_t length, off_t at) {
    pthread_mutex_lock(&lock);
    struct file *file = watched(fd);
    ssize_t done;
    if (file == NULL) {
        /* Outside of the lock: this may be a pipe or a socket, and wait. */
        if (fd != 1 || journal < 0) pthread_mutex_unlock(&lock);
        done = at < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
        if (fd == 1 && journal >= 0) {
            record('A', 0, 0, bytes, length);
            pthread_mutex_unlock(&lock);
        }
        return done;
    }
    off_t offset = at;
    if (at < 0) {
        struct stat st;
        int appends = (syscall(SYS_fcntl, fd, F_GETFL, 0) & O_APPEND) != 0;
        offset = appends && syscall(SYS_fstat, fd, &st) == 0 ? st.st_size : syscall(SYS_lseek, fd, 0L, SEEK_CUR);
    }
    int how = fails(0);
    if (how == PRETEND) {
        if (at < 0) syscall(SYS_lseek, fd, (long)length, SEEK_CUR);
        pthread_mutex_unlock(&lock);
        return (ssize_t)length;
    }
    size_t room = length;
    if (how == NO_SPACE && plan->hit == 1 && length > 1) room = length / 2;
    else if (how != 0) {
        pthread_mutex_unlock(&lock);
        return refused(how);
    }
    done = at < 0 ? syscall(SYS_write, fd, bytes, room) : syscall(SYS_pwrite64, fd, bytes, room, at);
    if (done > 0 && !file->is_index) record('W', file->inode, (uint64_t)offset, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_at(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_at(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return write_at(fd, bytes, length, at); }

/* Nothing we know of writes a watched file in parts; if something begins to, the figure must not go on unaware. */
static void unknown(int fd, const char *what) {
    pthread_mutex_lock(&lock);
    if (watched(fd) != NULL) record('X', 0, 0, what, strlen(what));
    pthread_mutex_unlock(&lock);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    unknown(fd, "writev");
    return syscall(SYS_writev, fd, parts, count);
}

static int resize(int fd, off_t length) {
    pthread_mutex_lock(&lock);
    struct file *file = watched(fd);
    /* A full disk refuses what needs room; a file can be made shorter. */
    struct stat st;
    int shrinks = plan != NULL && __atomic_load_n(&plan->mode, __ATOMIC_SEQ_CST) == NO_SPACE &&
                  syscall(SYS_fstat, fd, &st) == 0 && length <= st.st_size;
    int how = file != NULL && !shrinks ? fails(0) : 0;
    if (how != 0 && how != PRETEND) {
        pthread_mutex_unlock(&lock);
        return refused(how);
    }
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0 && file != NULL && !file->is_index) record('T', file->inode, (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return resize(fd, length); }
int ftruncate64(int fd, off64_t length) { return resize(fd, length); }

int fallocate(int fd, int mode, off_t from, off_t length) {
    unknown(fd, "fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, from, length);
}

int posix_fallocate(int fd, off_t from, off_t length) {
    unknown(fd, "posix_fallocate");
    return syscall(SYS_fallocate, fd, 0, from, length) == 0 ? 0 : errno;
}

static int settle(int fd, long call) {
    pthread_mutex_lock(&lock);
    struct file *file = watched(fd);
    if (file == NULL) {
        pthread_mutex_unlock(&lock);
        return (int)syscall(call, fd);
    }
    int how = fails(1);
    if (how != 0) {
        pthread_mutex_unlock(&lock);
        return refused(how);
    }
    /* A plan of faults is about what the program makes of them: the disk itself need not be waited for. */
    int done = lies || plan != NULL ? 0 : (int)syscall(call, fd);
    if (done == 0 && file->is_dir) {
        if (!lies) record('D', 0, 0, "", 0);
    } else if (done == 0 && !file->is_index) {
        record(lies ? 'L' : 'S', file->inode, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return settle(fd, SYS_fsync); }
int fdatasync(int fd) { return settle(fd, SYS_fdatasync); }

static int renamed(char kind, const char *from, const char *to, unsigned flags) {
    pthread_mutex_lock(&lock);
    const char *a = inside(from), *b = inside(to);
    int how = a != NULL || b != NULL ? fails(0) : 0;
    int done;
    if (how != 0 && how != PRETEND) {
        done = refused(how);
    } else {
        done = kind == 'R' ? (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags)
                           : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, flags);
        if (done == 0 && a != NULL && b != NULL) {
            char names[2 * NAME_BYTES];
            size_t x = strlen(a), y = strlen(b);
            if (x + y + 1 > sizeof names) abort();
            memcpy(names, a, x + 1);
            memcpy(names + x + 1, b, y);
            record(kind, 0, 0, names, x + 1 + y);
        } else if (done == 0 && (a != NULL) != (b != NULL)) {
            record('X', 0, 0, "a name left or entered", 22);
        }
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to) { return renamed('R', from, to, 0); }
int link(const char *from, const char *to) { return renamed('H', from, to, 0); }
int renameat(int a, const char *from, int b, const char *to) {
    if (a != AT_FDCWD || b != AT_FDCWD) return (int)syscall(SYS_renameat2, a, from, b, to, 0);
    return renamed('R', from, to, 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    if (a != AT_FDCWD || b != AT_FDCWD) return (int)syscall(SYS_renameat2, a, from, b, to, flags);
    return renamed('R', from, to, flags);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (a != AT_FDCWD || b != AT_FDCWD) return (int)syscall(SYS_linkat, a, from, b, to, flags);
    return renamed('H', from, to, (unsigned)flags);
}

static int removed(int dir, const char *path, int flags) {
    pthread_mutex_lock(&lock);
    const char *name = dir == AT_FDCWD || (path != NULL && path[0] == '/') ? inside(path) : NULL;
    int done = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (done == 0 && name != NULL && !ends_with(name, "-shm")) record('U', 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return removed(dir, path, flags); }

static void *mapped(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0) {
        pthread_mutex_lock(&lock);
        struct file *file = watched(fd);
        if (file != NULL && !file->is_index) record('X', 0, 0, "a mapping that is written", 25);
        pthread_mutex_unlock(&lock);
    }
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapped(at, length, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mapped(at, length, protection, flags, fd, offset);
}
