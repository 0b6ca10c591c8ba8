#include "data/clips.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/ahead.h"
#include "data/shots.h"
#include "media/video_reader.h"

static const char tag[] = "clips";
enum { MAX_DECODER_THREADS = 16, HELD_FRAMES = 2 };

/* A file that can be used. */
typedef struct used_file {
    int64_t place; /* in the list of files */
    uint64_t id;
    reel_shots shots;
    reel_words words;
    int64_t first, n; /* clips */
    bool held_out;
} used_file;

typedef struct own_clip {
    int64_t file;   /* among the used ones */
    int64_t first;  /* frame, on the grid of 1 / fps */
    int64_t bucket; /* of the options' */
    bool held_out;
} own_clip;

/* What a reel_source stands on: some of the clips, by groups of one file. */
typedef struct clip_view {
    reel_clips *clips;
    int64_t *clip; /* [n_clips] */
    reel_source_group *group;
    int64_t n_clips, n_groups;
} clip_view;

struct reel_clips {
    reel_env *env;
    reel_arena arena; /* shots, words, views */
    reel_clips_options options;
    reel_clip_files *files;
    used_file *file; /* [n_files] */
    int64_t n_files;
    own_clip *clip; /* [n_clips] */
    int64_t n_clips, room;
    int64_t n_skipped;
    char first_reason[512]; /* of the first that was skipped */
    reel_status first_status;
    reel_ahead *ahead;
};

/* ---- what cannot be used ---- */

static void skip(void *context, const char *name, const char *reason) {
    reel_clips *c = context;
    const size_t n = strlen(name);
    /* messages begin with the name already, as a rule */
    const bool named = strncmp(reason, name, n) == 0 && strncmp(reason + n, ": ", 2) == 0;
    if (named) reason += n + 2;
    if (c->n_skipped++ == 0)
        snprintf(c->first_reason, sizeof c->first_reason, "%.200s: %.280s", name, reason);
    if (c->options.skipped) c->options.skipped(c->options.context, name, reason);
}

/* Tells of the failure of one file and forgets it; what is not the file's fault goes on up. */
static reel_status skip_failed(reel_clips *c, const char *name, reel_status status) {
    if (status == REEL_E_NOMEM || status == REEL_E_CANCELLED) return status;
    if (c->n_skipped == 0) c->first_status = status;
    skip(c, name, reel_env_message(c->env));
    reel_env_clear(c->env);
    return REEL_OK;
}

/* ---- looking at files ---- */

/* Shots of file i: those that were seen, or a look. *usable is false when it was skipped. */
static reel_status look(reel_clips *c, reel_sights *sights, int64_t i, reel_shots *shots,
                        bool *usable) {
    const reel_clip_file file = reel_clip_files_at(c->files, i);
    const reel_sight_key key = {file.name, file.bytes, file.changed, c->options.fps};
    const char *trouble = NULL;
    *usable = false;
    if (reel_sights_find(sights, &key, shots, &trouble)) {
        *usable = !trouble;
        if (trouble) skip(c, file.name, trouble);
        return REEL_OK;
    }
    if (c->options.looking &&
        c->options.looking(c->options.context, i, reel_clip_files_count(c->files), file.name))
        return reel_fail(c->env, REEL_E_CANCELLED, "stopped while looking at clips");
    reel_clip_bytes bytes = {0};
    const int lanes = reel_threads_count(c->env->threads);
    reel_status status = reel_clip_bytes_open(c->env, c->files, i, &bytes);
    if (status == REEL_OK)
        status =
            reel_shots_find(c->env, &c->arena, file.name, bytes.data, bytes.bytes, c->options.fps,
                            lanes < MAX_DECODER_THREADS ? lanes : MAX_DECODER_THREADS, shots);
    reel_clip_bytes_close(&bytes);
    /* only what the bytes say is worth remembering: a disk may be mended, a build another */
    *usable = status == REEL_OK;
    if (status != REEL_OK && status != REEL_E_FORMAT) return skip_failed(c, file.name, status);
    char why[512] = "";
    if (status != REEL_OK) snprintf(why, sizeof why, "%s", reel_env_message(c->env));
    if (status != REEL_OK) status = skip_failed(c, file.name, status);
    if (status == REEL_OK) status = reel_sights_add(sights, &key, shots, *usable ? NULL : why);
    return status;
}

static reel_status look_at_all(reel_clips *c, reel_sights *sights) {
    const int64_t n = reel_clip_files_count(c->files);
    c->file = reel_calloc(c->env, n, sizeof *c->file, tag);
    reel_status status = c->file ? REEL_OK : REEL_E_NOMEM;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        used_file f = {.place = i};
        bool usable;
        status = look(c, sights, i, &f.shots, &usable);
        if (status != REEL_OK || !usable) continue;
        const reel_status read = reel_clip_files_words(c->files, i, &c->arena, &f.words);
        if (read != REEL_OK) {
            status = skip_failed(c, reel_clip_files_at(c->files, i).name, read);
            continue;
        }
        reel_shot *shot = reel_arena_calloc(&c->arena, f.shots.n, sizeof *shot);
        if (!shot) return REEL_E_NOMEM;
        if (f.shots.n) memcpy(shot, f.shots.shot, (size_t)f.shots.n * sizeof *shot);
        f.shots.shot = shot; /* sights are about to go */
        f.id = f.shots.id;
        c->file[c->n_files++] = f;
    }
    return status;
}

static reel_status look_at_files(reel_clips *c) {
    reel_sights *sights;
    reel_status status = reel_sights_open(c->env, c->options.sights, &sights);
    if (status != REEL_OK) return status;
    status = look_at_all(c, sights);
    reel_sights_close(&sights);
    return status;
}

/* ---- the order, and what is held out ---- */

/* A number that mixes every bit of x (the finaliser of splitmix64, Steele et al. 2014). */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static int by_id(const void *a, const void *b) {
    const used_file *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Files by their bytes, each once, then in an order that the seed shuffles. */
static void put_in_order(reel_clips *c) {
    int64_t n = 0;
    if (c->n_files) qsort(c->file, (size_t)c->n_files, sizeof *c->file, by_id);
    for (int64_t i = 0; i < c->n_files; i++) {
        if (n && c->file[n - 1].id == c->file[i].id) {
            char why[512];
            snprintf(why, sizeof why, "holds the same bytes as %.400s",
                     reel_clip_files_at(c->files, c->file[n - 1].place).name);
            skip(c, reel_clip_files_at(c->files, c->file[i].place).name, why);
            continue;
        }
        c->file[n++] = c->file[i];
    }
    c->n_files = n;
    const uint64_t seed = mix(c->options.seed);
    for (int64_t i = 0; i < n; i++)
        c->file[i].id = mix(c->file[i].id ^ seed);
    if (n) qsort(c->file, (size_t)n, sizeof *c->file, by_id);
}

static void hold_out(reel_clips *c) {
    int64_t n = 0, least = 0;
    for (int64_t i = 0; i < c->n_files; i++) {
        used_file *f = &c->file[i];
        f->held_out = mix(f->shots.id) % REEL_CLIPS_HELD_OUT == 0;
        n += f->held_out;
        if (mix(f->shots.id) < mix(c->file[least].shots.id)) least = i;
    }
    if (c->n_files > 1 && n == 0) c->file[least].held_out = true;
    if (n == c->n_files)
        for (int64_t i = 0; i < n; i++) /* all of a few: then all but one train */
            c->file[i].held_out = n > 1 && i == least;
    for (int64_t i = 0; i < c->n_clips; i++)
        c->clip[i].held_out = c->file[c->clip[i].file].held_out;
    if (c->n_files == 1 && c->n_clips > 1) c->clip[c->n_clips - 1].held_out = true;
}

/* ---- clips ---- */

static reel_status add_clip(reel_clips *c, int64_t file, int64_t first, int64_t bucket) {
    if (c->n_clips == c->room) {
        const int64_t room = c->room ? 2 * c->room : 256;
        own_clip *grown = reel_realloc(c->env, c->clip, room * (int64_t)sizeof *grown, tag);
        if (!grown) return REEL_E_NOMEM;
        c->clip = grown;
        c->room = room;
    }
    c->clip[c->n_clips++] = (own_clip){.file = file, .first = first, .bucket = bucket};
    return REEL_OK;
}

/* Divides a shot. A moving shot becomes a still only when it fits into nothing else. */
static reel_status divide(reel_clips *c, int64_t file, const reel_shot *shot) {
    const reel_clips_options *o = &c->options;
    const used_file *f = &c->file[file];
    int64_t at = shot->first;
    while (at < shot->end) {
        const int64_t k = reel_bucket_fit(o->bucket, o->n_buckets, f->shots.width, f->shots.height,
                                          shot->end - at);
        if (k < 0 || (o->bucket[k].frames == 1 && at > shot->first)) return REEL_OK;
        const reel_status status = add_clip(c, file, at, k);
        if (status != REEL_OK) return status;
        if (o->bucket[k].frames == 1) return REEL_OK;
        at += o->bucket[k].frames;
    }
    return REEL_OK;
}

static void skip_short(reel_clips *c, const used_file *f) {
    int64_t least = 0, longest = 0;
    for (int64_t i = 0; i < c->options.n_buckets; i++)
        if (c->options.bucket[i].weight > 0 && (!least || c->options.bucket[i].frames < least))
            least = c->options.bucket[i].frames;
    for (int64_t i = 0; i < f->shots.n; i++)
        if (f->shots.shot[i].end - f->shots.shot[i].first > longest)
            longest = f->shots.shot[i].end - f->shots.shot[i].first;
    char why[160];
    snprintf(why, sizeof why,
             "its longest shot has %lld frames at %g a second, the shortest of data.buckets %lld",
             (long long)longest, c->options.fps, (long long)least);
    skip(c, reel_clip_files_at(c->files, f->place).name, why);
}

static reel_status make_clips(reel_clips *c) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_files; i++) {
        c->file[n] = c->file[i];
        used_file *f = &c->file[n];
        f->first = c->n_clips;
        for (int64_t k = 0; k < f->shots.n; k++) {
            const reel_status status = divide(c, n, &f->shots.shot[k]);
            if (status != REEL_OK) return status;
        }
        f->n = c->n_clips - f->first;
        if (f->n)
            n++;
        else
            skip_short(c, f);
    }
    c->n_files = n;
    if (n == 0)
        return reel_fail(
            c->env, c->first_status, "%s: not one clip can be used of %lld files; the first: %s",
            c->options.path[0], (long long)reel_clip_files_count(c->files), c->first_reason);
    return REEL_OK;
}

/* ---- pixels ---- */

static reel_status read_frames(reel_env *env, reel_video_reader *reader, const char *name,
                               const reel_bucket *size, uint8_t *rgb) {
    const int64_t bytes = size->width * size->height * 3;
    int64_t n = 0;
    for (bool got = true; got && n < size->frames; n += got) {
        const reel_status status = reel_video_reader_next(reader, rgb + n * bytes, &got);
        if (status != REEL_OK) return status;
        if (!got) break;
    }
    if (n == 0 || n < size->frames - HELD_FRAMES)
        return reel_fail(env, REEL_E_FORMAT, "%s: has changed: %lld frames are there, %lld were",
                         name, (long long)n, (long long)size->frames);
    for (; n < size->frames; n++) /* where rates do not go into one another the last one stays */
        memcpy(rgb + n * bytes, rgb + (n - 1) * bytes, (size_t)bytes);
    return REEL_OK;
}

/* index: among all clips. Any thread with its own env: nothing of the clips changes once open. */
static reel_status decode(reel_env *env, const void *context, int64_t index,
                          const reel_bucket *size, uint8_t *rgb) {
    const reel_clips *c = context;
    const own_clip *clip = &c->clip[index];
    const int64_t place = c->file[clip->file].place;
    const char *name = reel_clip_files_at(c->files, place).name;
    reel_reader_options o = reel_reader_options_default();
    o.width = (int)size->width;
    o.height = (int)size->height;
    o.fps = (reel_rational){(int)rint(c->options.fps * 1000), 1000};
    o.start_s = (double)clip->first * 1000 / (double)o.fps.num;
    o.max_frames = size->frames;
    reel_clip_bytes bytes = {0};
    reel_video_reader *reader = NULL;
    reel_status status = reel_clip_bytes_open(env, c->files, place, &bytes);
    if (status == REEL_OK)
        status = reel_video_reader_open_memory(env, bytes.data, bytes.bytes, name, &o, &reader);
    if (status == REEL_OK) status = read_frames(env, reader, name, size, rgb);
    reel_video_reader_close(&reader);
    reel_clip_bytes_close(&bytes);
    return status;
}

/* ---- as a source ---- */

static reel_status source_pixels(reel_env *env, void *context, int64_t index,
                                 const reel_bucket *size, uint8_t *rgb) {
    const clip_view *v = context;
    (void)env;
    return reel_ahead_take(v->clips->ahead, v->clip[index], size, rgb);
}

static void source_expect(void *context, int64_t index, const reel_bucket *size) {
    const clip_view *v = context;
    if (index < v->n_clips) reel_ahead_expect(v->clips->ahead, v->clip[index], size);
}

static reel_status source_caption(reel_env *env, void *context, int64_t index,
                                  const reel_bucket *size, bool chinese, uint64_t variant,
                                  char *text) {
    const clip_view *v = context;
    const own_clip *clip = &v->clips->clip[v->clip[index]];
    (void)env;
    (void)size;
    reel_words_pick(&v->clips->file[clip->file].words, chinese, variant, text,
                    REEL_SOURCE_CAPTION_BYTES);
    return REEL_OK;
}

static int64_t source_bucket(void *context, const reel_bucket *bucket, int64_t n, int64_t group,
                             int64_t index) {
    const clip_view *v = context;
    const int64_t k = v->clips->clip[v->clip[index]].bucket;
    (void)bucket;
    (void)group;
    return k < n ? k : 0;
}

static void source_group(void *context, int64_t i, reel_source_group *group) {
    const clip_view *v = context;
    *group = v->group[i];
}

/* Names a group by the file's bytes and by what is taken of it, and in which sizes. */
static void name_group(const reel_clips *c, const clip_view *v, reel_source_group *g) {
    uint64_t h = reel_bytes_hash(&c->options.fps, sizeof c->options.fps);
    for (int64_t i = g->first; i < g->first + g->n; i++) {
        const own_clip *clip = &c->clip[v->clip[i]];
        const reel_bucket *b = &c->options.bucket[clip->bucket];
        const int64_t part[] = {clip->first, b->width, b->height, b->frames};
        h = mix(h) ^ reel_bytes_hash(part, sizeof part);
    }
    const uint64_t id = c->file[c->clip[v->clip[g->first]].file].shots.id;
    snprintf(g->name, sizeof g->name, "clip-%016llx-%016llx", (unsigned long long)id,
             (unsigned long long)mix(h));
}

static bool any_held_out(const reel_clips *c) {
    for (int64_t i = 0; i < c->n_clips; i++)
        if (c->clip[i].held_out) return true;
    return false;
}

static void fill_view(const reel_clips *c, bool held_out, int64_t bucket, clip_view *v) {
    if (held_out && !any_held_out(c)) held_out = false;
    for (int64_t i = 0; i < c->n_clips; i++) {
        const own_clip *clip = &c->clip[i];
        if (clip->held_out != held_out || (bucket >= 0 && clip->bucket != bucket)) continue;
        const bool same = v->n_clips && c->clip[v->clip[v->n_clips - 1]].file == clip->file;
        if (!same) v->group[v->n_groups++] = (reel_source_group){.first = v->n_clips};
        v->clip[v->n_clips++] = i;
        v->group[v->n_groups - 1].n++;
    }
    for (int64_t i = 0; i < v->n_groups; i++)
        name_group(c, v, &v->group[i]);
}

reel_status reel_clips_source(reel_clips *c, bool held_out, int64_t bucket, reel_source *source) {
    clip_view *v = reel_arena_calloc(&c->arena, 1, sizeof *v);
    if (!v) return REEL_E_NOMEM;
    v->clips = c;
    v->clip = reel_arena_calloc(&c->arena, c->n_clips, sizeof *v->clip);
    v->group = reel_arena_calloc(&c->arena, c->n_files, sizeof *v->group);
    if (!v->clip || !v->group) return REEL_E_NOMEM;
    fill_view(c, held_out, bucket, v);
    *source = (reel_source){.context = v,
                            .n_clips = v->n_clips,
                            .noun = "clip",
                            .pixels = source_pixels,
                            .caption = source_caption,
                            .bucket = source_bucket,
                            .group = source_group,
                            .n_groups = v->n_groups,
                            .expect = source_expect};
    for (int64_t i = 0; i < c->n_files; i++)
        source->has_chinese = source->has_chinese || c->file[i].words.n_chinese > 0;
    return REEL_OK;
}

const char *reel_clips_name(const reel_source *source, int64_t index, double *start_s) {
    const clip_view *v = source->context;
    const reel_clips *c = v->clips;
    const own_clip *clip = &c->clip[v->clip[index]];
    *start_s = (double)clip->first / c->options.fps;
    return reel_clip_files_at(c->files, c->file[clip->file].place).name;
}

/* ---- all of it ---- */

reel_status reel_clips_open(reel_env *env, const reel_clips_options *options, reel_clips **clips) {
    reel_clips *c = reel_calloc(env, 1, sizeof *c, tag);
    if (!c) return REEL_E_NOMEM;
    c->env = env;
    c->options = *options;
    c->first_status = REEL_E_FORMAT;
    reel_arena_init(&c->arena, env, 1 << 16, tag);
    reel_status status =
        reel_clip_files_open(env, options->path, options->n_paths, skip, c, &c->files);
    if (status == REEL_OK) status = look_at_files(c);
    if (status == REEL_OK) {
        put_in_order(c);
        status = make_clips(c);
    }
    if (status == REEL_OK) {
        hold_out(c);
        status = reel_ahead_new(env, decode, c, &c->ahead);
    }
    c->options.path = NULL; /* the caller's, like who listened */
    c->options.sights = NULL;
    c->options.skipped = NULL;
    c->options.looking = NULL;
    if (status != REEL_OK) {
        reel_clips_close(&c);
        return status;
    }
    *clips = c;
    return REEL_OK;
}

void reel_clips_close(reel_clips **clips) {
    reel_clips *c = *clips;
    if (!c) return;
    reel_ahead_free(&c->ahead);
    reel_clip_files_close(&c->files);
    reel_arena_deinit(&c->arena);
    reel_free(c->env, c->file);
    reel_free(c->env, c->clip);
    reel_free(c->env, c);
    *clips = NULL;
}

reel_clips_count reel_clips_get_count(const reel_clips *c) {
    reel_clips_count n = {.files = c->n_files, .skipped = c->n_skipped};
    n.fingerprint = reel_bytes_hash(&c->options.fps, sizeof c->options.fps);
    for (int64_t i = 0; i < c->n_clips; i++) {
        const own_clip *clip = &c->clip[i];
        const used_file *f = &c->file[clip->file];
        const uint64_t part[] = {f->shots.id, (uint64_t)clip->first, (uint64_t)clip->bucket};
        n.fingerprint = mix(n.fingerprint) ^ reel_bytes_hash(part, sizeof part);
        n.held_out += clip->held_out;
        n.clips += !clip->held_out;
        n.without_words += f->words.n_english + f->words.n_chinese == 0;
    }
    return n;
}
