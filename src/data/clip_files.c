#include "data/clip_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/env.h"
#include "base/folder.h"
#include "base/path.h"
#include "data/tar.h"

static const char tag[] = "clip files";
enum { MAX_DEPTH = 16, MOST_WORDS_BYTES = 1 << 20, KINDS_OF_WORDS = 2 };
static const char *const word_endings[KINDS_OF_WORDS] = {".json", ".txt"};

/* A file in a folder has paths of words, a member of an archive their bytes. */
typedef struct entry {
    reel_clip_file file;
    const uint8_t *data; /* of a member */
    const char *words[KINDS_OF_WORDS];
    const uint8_t *word_data[KINDS_OF_WORDS];
    int64_t word_bytes[KINDS_OF_WORDS];
} entry;

struct reel_clip_files {
    reel_env *env;
    reel_arena arena; /* names */
    entry *entry;
    int64_t n, room;
    reel_tar **tar;
    int64_t n_tars;
    reel_clip_skipped *skipped;
    void *context;
};

/* ---- names ---- */

static const char *ending_of(const char *name) {
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    return dot && dot > (slash ? slash + 1 : name) ? dot : name + strlen(name);
}

static bool is_clip(const char *name) {
    static const char *const endings[] = {".mp4", ".mov", ".m4v", ".mkv",  ".webm",
                                          ".gif", ".png", ".jpg", ".jpeg", ".webp"};
    const char *ending = ending_of(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i]) == 0) return true;
    return false;
}

static bool is_tar(const char *name) {
    return strcasecmp(ending_of(name), ".tar") == 0;
}

/* The name with another ending. */
static const char *with_ending(reel_arena *arena, const char *name, const char *ending) {
    return reel_arena_printf(arena, "%.*s%s", (int)(ending_of(name) - name), name, ending);
}

static reel_status keep(reel_clip_files *f, const entry *e) {
    if (f->n == f->room) {
        const int64_t room = f->room ? 2 * f->room : 256;
        entry *grown = reel_realloc(f->env, f->entry, room * (int64_t)sizeof *grown, tag);
        if (!grown) return REEL_E_NOMEM;
        f->entry = grown;
        f->room = room;
    }
    f->entry[f->n++] = *e;
    return REEL_OK;
}

/* ---- a file of its own ---- */

static reel_status add_file(reel_clip_files *f, const char *path) {
    entry e = {.file.name = reel_arena_strdup(&f->arena, path)};
    if (!e.file.name) return REEL_E_NOMEM;
    if (!reel_path_stat(path, &e.file.bytes, &e.file.changed)) return REEL_OK; /* gone meanwhile */
    for (int k = 0; k < KINDS_OF_WORDS; k++) {
        const char *words = with_ending(&f->arena, path, word_endings[k]);
        if (!words) return REEL_E_NOMEM;
        if (reel_path_look(words) == REEL_PATH_FILE) e.words[k] = words;
    }
    return keep(f, &e);
}

/* ---- an archive ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const reel_tar_member *)a)->name, ((const reel_tar_member *)b)->name);
}

static reel_status add_member(reel_clip_files *f, const char *path, int64_t changed,
                              const reel_tar_member *all, int64_t n, const reel_tar_member *m) {
    entry e = {.data = m->data, .file = {.bytes = m->bytes, .changed = changed}};
    e.file.name = reel_arena_printf(&f->arena, "%s/%s", path, m->name);
    if (!e.file.name) return REEL_E_NOMEM;
    for (int k = 0; k < KINDS_OF_WORDS; k++) {
        const reel_tar_member wanted = {.name = with_ending(&f->arena, m->name, word_endings[k])};
        if (!wanted.name) return REEL_E_NOMEM;
        const reel_tar_member *found = bsearch(&wanted, all, (size_t)n, sizeof *all, by_name);
        if (!found) continue;
        e.words[k] = reel_arena_printf(&f->arena, "%s/%s", path, wanted.name);
        if (!e.words[k]) return REEL_E_NOMEM;
        e.word_data[k] = found->data;
        e.word_bytes[k] = found->bytes;
    }
    return keep(f, &e);
}

static reel_status add_members(reel_clip_files *f, const char *path, const reel_tar *tar) {
    const int64_t n = reel_tar_count(tar);
    int64_t bytes, changed = 0;
    (void)reel_path_stat(path, &bytes, &changed);
    reel_tar_member *all = reel_calloc(f->env, n, sizeof *all, tag);
    if (!all) return REEL_E_NOMEM;
    for (int64_t i = 0; i < n; i++)
        all[i] = reel_tar_at(tar, i);
    if (n) qsort(all, (size_t)n, sizeof *all, by_name);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++)
        if (is_clip(all[i].name)) status = add_member(f, path, changed, all, n, &all[i]);
    reel_free(f->env, all);
    return status;
}

/* A failure of one file, told and forgotten; what is not the file's fault goes on up. */
static reel_status skip(reel_clip_files *f, const char *name, reel_status status) {
    if (status == REEL_E_NOMEM || status == REEL_E_CANCELLED) return status;
    f->skipped(f->context, name, reel_env_message(f->env));
    reel_env_clear(f->env);
    return REEL_OK;
}

static void member_skipped(void *context, const char *member, const char *reason) {
    const reel_clip_files *f = context;
    f->skipped(f->context, member, reason);
}

static reel_status add_tar(reel_clip_files *f, const char *path) {
    reel_tar **grown = reel_realloc(f->env, f->tar, (f->n_tars + 1) * (int64_t)sizeof *grown, tag);
    if (!grown) return REEL_E_NOMEM;
    f->tar = grown;
    reel_tar *tar;
    const reel_status status = reel_tar_open(f->env, path, member_skipped, f, &tar);
    if (status != REEL_OK) return skip(f, path, status);
    f->tar[f->n_tars++] = tar;
    return add_members(f, path, tar);
}

/* ---- a folder ---- */

static reel_status add_path(reel_clip_files *f, const char *path, int depth);

static reel_status add_folder(reel_clip_files *f, const char *path, int depth) {
    const char *const *name;
    int64_t n = 0;
    if (depth > MAX_DEPTH) return REEL_OK; /* links that lead in a circle */
    reel_status status = reel_folder_list(f->env, &f->arena, path, "", "", &name, &n);
    if (status != REEL_OK) return depth ? skip(f, path, status) : status;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        if (name[i][0] == '.') continue; /* what systems and tools leave about */
        const char *inner = reel_arena_printf(&f->arena, "%s/%s", path, name[i]);
        status = inner ? add_path(f, inner, depth + 1) : REEL_E_NOMEM;
    }
    return status;
}

static reel_status add_path(reel_clip_files *f, const char *path, int depth) {
    switch (reel_path_look(path)) {
    case REEL_PATH_FOLDER:
        return add_folder(f, path, depth);
    case REEL_PATH_FILE:
        if (is_tar(path)) return add_tar(f, path);
        if (is_clip(path)) return add_file(f, path);
        return depth ? REEL_OK
                     : reel_fail(f->env, REEL_E_ARG,
                                 "%s: no clips: wanted a folder, a .tar file, or a video", path);
    case REEL_PATH_NONE:
        return depth ? REEL_OK : reel_fail(f->env, REEL_E_IO, "%s: no such file or folder", path);
    default:
        return depth ? REEL_OK : reel_fail(f->env, REEL_E_IO, "%s: cannot be looked at", path);
    }
}

/* ---- the list ---- */

reel_status reel_clip_files_open(reel_env *env, const char *const *path, int64_t n,
                                 reel_clip_skipped *skipped, void *context,
                                 reel_clip_files **files) {
    reel_clip_files *f = reel_calloc(env, 1, sizeof *f, tag);
    if (!f) return REEL_E_NOMEM;
    *f = (reel_clip_files){.env = env, .skipped = skipped, .context = context};
    reel_arena_init(&f->arena, env, 1 << 16, tag);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++)
        status = add_path(f, path[i], 0);
    if (status == REEL_OK && f->n == 0)
        status = reel_fail(env, REEL_E_ARG,
                           "%s%s: holds no clip: wanted files that end in .mp4, .mov, .mkv, .webm, "
                           ".gif, .png, .jpg or .webp, or a .tar of such",
                           n ? path[0] : "nothing", n > 1 ? " and the others" : "");
    if (status != REEL_OK) {
        reel_clip_files_close(&f);
        return status;
    }
    *files = f;
    return REEL_OK;
}

void reel_clip_files_close(reel_clip_files **files) {
    reel_clip_files *f = *files;
    if (!f) return;
    for (int64_t i = 0; i < f->n_tars; i++)
        reel_tar_close(&f->tar[i]);
    reel_free(f->env, f->tar);
    reel_free(f->env, f->entry);
    reel_arena_deinit(&f->arena);
    reel_free(f->env, f);
    *files = NULL;
}

int64_t reel_clip_files_count(const reel_clip_files *f) {
    return f->n;
}

reel_clip_file reel_clip_files_at(const reel_clip_files *f, int64_t i) {
    return f->entry[i].file;
}

reel_status reel_clip_bytes_open(reel_env *env, const reel_clip_files *f, int64_t i,
                                 reel_clip_bytes *bytes) {
    const entry *e = &f->entry[i];
    *bytes = (reel_clip_bytes){.data = e->data, .bytes = e->file.bytes};
    if (e->data) return REEL_OK;
    const reel_status status = reel_map_open(env, e->file.name, &bytes->map);
    if (status != REEL_OK) return status;
    bytes->data = bytes->map.data;
    bytes->bytes = bytes->map.bytes;
    return REEL_OK;
}

void reel_clip_bytes_close(reel_clip_bytes *bytes) {
    reel_map_close(&bytes->map);
}

/* ---- words ---- */

static reel_status read_words(const reel_clip_files *f, const entry *e, int k, reel_arena *arena,
                              reel_words *words) {
    const char *name = e->words[k];
    const bool json = k == 0;
    if (e->data) {
        if (e->word_bytes[k] > MOST_WORDS_BYTES)
            return reel_fail(f->env, REEL_E_FORMAT, "%s: %lld bytes are no caption", name,
                             (long long)e->word_bytes[k]);
        return reel_words_read(f->env, arena, name, (const char *)e->word_data[k], e->word_bytes[k],
                               json, words);
    }
    char *text;
    int64_t bytes;
    reel_status status = reel_file_read(f->env, name, MOST_WORDS_BYTES, &text, &bytes);
    if (status != REEL_OK) return status;
    status = reel_words_read(f->env, arena, name, text, bytes, json, words);
    reel_free(f->env, text);
    return status;
}

/* JSON first; the text beside it repeats it, as a rule. */
reel_status reel_clip_files_words(const reel_clip_files *f, int64_t i, reel_arena *arena,
                                  reel_words *words) {
    const entry *e = &f->entry[i];
    *words = (reel_words){0};
    reel_status status = REEL_OK;
    for (int k = 0; k < KINDS_OF_WORDS && status == REEL_OK; k++)
        if (e->words[k] && words->n_english + words->n_chinese == 0)
            status = read_words(f, e, k, arena, words);
    return status;
}
