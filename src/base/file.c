#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"

static const char tag_file[] = "file";

/* True, with errno set, when the fault plan wants the next system call to fail. */
static bool fails(reel_env *env, int error) {
    if (!reel_fault_due(&env->faults.io_at)) return false;
    errno = error;
    return true;
}

static reel_status fail_errno(reel_env *env, const char *path, const char *verb) {
    const int error = errno;
    char reason[128];
    /* The POSIX strerror_r returns int, the GNU one a pointer; strerror itself is not safe on any
     * thread. _GNU_SOURCE is defined for the whole build. */
    return reel_fail(env, REEL_E_IO, "%s: cannot %s: %s", path, verb,
                     strerror_r(error, reason, sizeof reason));
}

/* ---- reading ---- */

/* Opens a regular file for reading and tells its size. */
static reel_status open_regular(reel_env *env, const char *path, int *fd, int64_t *bytes) {
    const int opened = fails(env, EIO) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return fail_errno(env, path, "open");
    struct stat about;
    reel_status status = REEL_OK;
    if (fails(env, EIO) || fstat(opened, &about) != 0)
        status = fail_errno(env, path, "stat");
    else if (!S_ISREG(about.st_mode))
        status = reel_fail(env, REEL_E_IO, "%s: not a regular file%s", path,
                           S_ISDIR(about.st_mode) ? " but a folder" : "");
    if (status != REEL_OK) {
        close(opened);
        return status;
    }
    *fd = opened;
    *bytes = about.st_size;
    return REEL_OK;
}

reel_status reel_map_open(reel_env *env, const char *path, reel_map *map) {
    int fd = -1;
    int64_t bytes = 0;
    const reel_status status = open_regular(env, path, &fd, &bytes);
    if (status != REEL_OK) return status;
    /* An empty file cannot be mapped and needs no memory. */
    static const unsigned char nothing[1];
    const void *data = nothing;
    if (bytes > 0)
        data = fails(env, ENOMEM) ? MAP_FAILED
                                  : mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    close(fd); /* the mapping keeps the file */
    errno = error;
    if (data == MAP_FAILED) return fail_errno(env, path, "map");
    *map = (reel_map){.data = data, .bytes = bytes};
    return REEL_OK;
}

/* munmap and madvise take plain pointers although they write nothing through them. */
static void *address(const unsigned char *data) {
    return (void *)(uintptr_t)data;
}

void reel_map_close(reel_map *map) {
    if (map->bytes > 0) munmap(address(map->data), (size_t)map->bytes);
    *map = (reel_map){0};
}

void reel_map_advise(const reel_map *map, int64_t offset, int64_t bytes, reel_map_advice advice) {
    static const int flag[] = {
        [REEL_MAP_NORMAL] = MADV_NORMAL, [REEL_MAP_SEQUENTIAL] = MADV_SEQUENTIAL,
        [REEL_MAP_RANDOM] = MADV_RANDOM, [REEL_MAP_WILL_NEED] = MADV_WILLNEED,
        [REEL_MAP_DONE] = MADV_DONTNEED,
    };
    if (offset < 0 || offset >= map->bytes || bytes <= 0) return;
    if (bytes > map->bytes - offset) bytes = map->bytes - offset;
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t begin = offset / page * page;
    (void)madvise(address(map->data + begin), (size_t)(offset + bytes - begin), flag[advice]);
}

/* Reads exactly bytes; a file that ends early is REEL_E_IO too: it changed under us. */
static reel_status read_all(reel_env *env, const char *path, int fd, char *data, int64_t bytes) {
    for (int64_t n = 0; n < bytes;) {
        const ssize_t got = fails(env, EIO) ? -1 : read(fd, data + n, (size_t)(bytes - n));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(env, path, "read");
        if (got == 0)
            return reel_fail(env, REEL_E_IO, "%s: ended at byte %lld of %lld", path, (long long)n,
                             (long long)bytes);
        n += got;
    }
    return REEL_OK;
}

reel_status reel_file_read(reel_env *env, const char *path, int64_t max_bytes, char **data,
                           int64_t *bytes) {
    int fd = -1;
    int64_t n = 0;
    reel_status status = open_regular(env, path, &fd, &n);
    if (status != REEL_OK) return status;
    char *text = NULL;
    if (n > max_bytes) {
        status = reel_fail(env, REEL_E_FORMAT, "%s: %lld bytes, at most %lld are expected", path,
                           (long long)n, (long long)max_bytes);
        goto done;
    }
    text = reel_alloc(env, n + 1, tag_file);
    if (!text) {
        status = REEL_E_NOMEM;
        goto done;
    }
    status = read_all(env, path, fd, text, n);
    if (status != REEL_OK) goto done;
    text[n] = '\0';
    *data = text;
    *bytes = n;
    text = NULL;
done:
    reel_free(env, text);
    close(fd);
    return status;
}

/* ---- writing ---- */

enum { BUFFER_BYTES = 1 << 16, MAX_ATTEMPTS = 100 };

struct reel_writer {
    reel_env *env;
    char *path;
    char *temporary; /* "" while there is none to be removed */
    int fd;          /* -1 once closed */
    reel_status status;
    int64_t offset;     /* where the next byte goes */
    int64_t n_buffered; /* of them, those still in buffer */
    char buffer[BUFFER_BYTES];
};

/* Makes a file that was not there before, under a name beside path. The process id keeps two
 * writers apart, the counter two attempts of one. */
static reel_status make_temporary(reel_writer *w) {
    const size_t room = strlen(w->path) + 64;
    char *name = reel_alloc(w->env, (int64_t)room, tag_file);
    if (!name) return REEL_E_NOMEM;
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        snprintf(name, room, "%s.%ld.%d.tmp", w->path, (long)getpid(), attempt);
        w->fd =
            fails(w->env, EACCES) ? -1 : open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) {
            (void)flock(w->fd, LOCK_EX | LOCK_NB); /* to tell it from what a killed one left */
            w->temporary = name;
            return REEL_OK;
        }
        if (errno != EEXIST) break;
    }
    const reel_status status = fail_errno(w->env, w->path, "create a temporary file beside it");
    reel_free(w->env, name);
    return status;
}

reel_status reel_writer_open(reel_env *env, const char *path, reel_writer **writer) {
    reel_writer *w = reel_alloc(env, sizeof *w, tag_file);
    if (!w) return REEL_E_NOMEM;
    w->env = env;
    w->temporary = NULL;
    w->fd = -1;
    w->status = REEL_OK;
    w->offset = 0;
    w->n_buffered = 0;
    w->path = reel_strdup(env, path, tag_file);
    const reel_status status = w->path ? make_temporary(w) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_writer_close(&w);
        return status;
    }
    *writer = w;
    return REEL_OK;
}

/* Writes everything, through interruptions and short writes. A full disk shows as a short write
 * first and as ENOSPC at the next call; the fault plan does the same, so that a partial file is
 * what the tests' clean-up has to deal with. */
static reel_status write_through(reel_writer *w, const char *data, int64_t bytes) {
    for (int64_t n = 0; n < bytes;) {
        ssize_t put;
        if (fails(w->env, ENOSPC)) {
            const ssize_t half = write(w->fd, data + n, (size_t)(bytes - n) / 2);
            (void)half;
            errno = ENOSPC;
            put = -1;
        } else {
            put = write(w->fd, data + n, (size_t)(bytes - n));
        }
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return w->status = fail_errno(w->env, w->path, "write");
        n += put;
    }
    return REEL_OK;
}

static reel_status flush(reel_writer *w) {
    const int64_t n = w->n_buffered;
    w->n_buffered = 0;
    return write_through(w, w->buffer, n);
}

reel_status reel_writer_write(reel_writer *w, const void *data, int64_t bytes) {
    if (w->status != REEL_OK) return w->status;
    w->offset += bytes;
    if (w->n_buffered + bytes > BUFFER_BYTES) {
        const reel_status status = flush(w);
        if (status != REEL_OK) return status;
    }
    if (bytes > BUFFER_BYTES) return write_through(w, data, bytes);
    if (bytes > 0) memcpy(w->buffer + w->n_buffered, data, (size_t)bytes);
    w->n_buffered += bytes;
    return REEL_OK;
}

int64_t reel_writer_offset(const reel_writer *w) {
    return w->offset;
}

reel_status reel_writer_seek(reel_writer *w, int64_t offset) {
    if (w->status != REEL_OK) return w->status;
    if (flush(w) != REEL_OK) return w->status;
    if (fails(w->env, EIO) || lseek(w->fd, offset, SEEK_SET) < 0)
        return w->status = fail_errno(w->env, w->path, "seek");
    w->offset = offset;
    return REEL_OK;
}

reel_status reel_writer_read(reel_writer *w, int64_t offset, void *data, int64_t bytes,
                             int64_t *n_read) {
    if (w->status != REEL_OK) return w->status;
    if (flush(w) != REEL_OK) return w->status;
    ssize_t got;
    do {
        got = fails(w->env, EIO) ? -1 : pread(w->fd, data, (size_t)bytes, offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return w->status = fail_errno(w->env, w->path, "read back");
    *n_read = got;
    return REEL_OK;
}

/* Makes the rename itself durable. Some file systems cannot sync a folder and say EINVAL. */
static reel_status sync_folder(reel_writer *w) {
    const char *slash = strrchr(w->path, '/');
    int fd = -1;
    if (!slash) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else {
        /* The temporary's name is not needed any more and is as long as path: cut it at the
         * folder, keeping the slash of "/". */
        const size_t n = slash == w->path ? 1 : (size_t)(slash - w->path);
        memcpy(w->temporary, w->path, n);
        w->temporary[n] = '\0';
        fd = open(w->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    w->temporary[0] = '\0';
    if (fd < 0) return w->status = fail_errno(w->env, w->path, "open the folder");
    const bool synced = !fails(w->env, EIO) && (fsync(fd) == 0 || errno == EINVAL);
    if (!synced) w->status = fail_errno(w->env, w->path, "sync the folder");
    close(fd);
    return w->status;
}

reel_status reel_writer_commit(reel_writer *w) {
    if (w->status != REEL_OK) return w->status;
    if (flush(w) != REEL_OK) return w->status;
    if (fails(w->env, EIO) || fsync(w->fd) != 0)
        return w->status = fail_errno(w->env, w->path, "sync");
    const int fd = w->fd;
    w->fd = -1;
    /* Network file systems report late write errors here. */
    if (close(fd) != 0) return w->status = fail_errno(w->env, w->path, "close");
    if (fails(w->env, EIO) || rename(w->temporary, w->path) != 0)
        return w->status = fail_errno(w->env, w->path, "rename into place");
    return sync_folder(w);
}

void reel_writer_close(reel_writer **writer) {
    if (!writer || !*writer) return;
    reel_writer *w = *writer;
    *writer = NULL;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary && w->temporary[0]) unlink(w->temporary);
    reel_free(w->env, w->temporary);
    reel_free(w->env, w->path);
    reel_free(w->env, w);
}

reel_status reel_file_write(reel_env *env, const char *path, const void *data, int64_t bytes) {
    reel_writer *w = NULL;
    reel_status status = reel_writer_open(env, path, &w);
    if (status == REEL_OK) status = reel_writer_write(w, data, bytes);
    if (status == REEL_OK) status = reel_writer_commit(w);
    reel_writer_close(&w);
    return status;
}
