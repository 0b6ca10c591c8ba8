#include "data/shots.h"

#include <math.h>
#include <string.h>

#include "base/env.h"
#include "media/scenes.h"
#include "media/video_reader.h"

static const char tag[] = "shots";
enum { LOOK_WIDTH = 96, LOOK_HEIGHT = 64 }; /* cuts are seen in pictures of this size */
static const double shortest_s = 0.25;      /* of a shot: flashes are no cuts */

uint64_t reel_bytes_hash(const void *data, int64_t bytes) {
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)bytes; /* FNV's basis and prime, on 8 bytes */
    int64_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, sizeof word);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29; /* FNV's product alone never moves high bits down */
    }
    for (; i < bytes; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* ---- looking ---- */

/* Times of all frames. */
typedef struct times {
    reel_env *env;
    double *at;
    int64_t n, room;
} times;

static reel_status add_time(times *t, double at) {
    if (t->n == t->room) {
        const int64_t room = t->room ? 2 * t->room : 1024;
        double *grown = reel_realloc(t->env, t->at, room * (int64_t)sizeof *grown, tag);
        if (!grown) return REEL_E_NOMEM;
        t->at = grown;
        t->room = room;
    }
    t->at[t->n++] = at;
    return REEL_OK;
}

static reel_status look(reel_video_reader *reader, reel_scenes *scenes, times *t) {
    uint8_t pixels[LOOK_WIDTH * LOOK_HEIGHT * 3];
    for (;;) {
        bool got;
        reel_status status = reel_video_reader_next(reader, pixels, &got);
        if (status != REEL_OK || !got) return status;
        status = reel_scenes_push(scenes, pixels);
        if (status == REEL_OK) status = add_time(t, reel_video_reader_time(reader));
        if (status != REEL_OK) return status;
    }
}

/* The first frame of the grid that shows what begins at `at`: frame k shows the last stored one
 * that begins before the middle between k and k + 1 (media/video_reader.h). */
static int64_t grid_frame(double at, double fps) {
    return (int64_t)floor(at * fps - 0.5 + 1e-5) + 1;
}

static reel_status cut_up(reel_scenes *scenes, const times *t, double fps, reel_arena *arena,
                          reel_shots *out) {
    const double last = t->at[t->n - 1];
    const double rate = last > 0 ? (double)(t->n - 1) / last : fps;
    const int64_t all = (int64_t)fmax(1, ceil((last + 1 / rate) * fps - 0.5 - 1e-3));
    const int64_t *cut = NULL;
    int64_t n = 0;
    const reel_status status =
        reel_scenes_cuts(scenes, (int64_t)fmax(1, rint(rate * shortest_s)), &cut, &n);
    if (status != REEL_OK) return status;
    reel_shot *shot = reel_arena_calloc(arena, n + 1, sizeof *shot);
    if (!shot) return REEL_E_NOMEM;
    out->n = 0;
    for (int64_t i = 0, first = 0; i <= n; i++) {
        const int64_t end = i < n ? grid_frame(t->at[cut[i]], fps) : all;
        if (end > first) shot[out->n++] = (reel_shot){first, end};
        first = end;
    }
    out->shot = shot;
    return REEL_OK;
}

reel_status reel_shots_find(reel_env *env, reel_arena *arena, const char *name, const void *data,
                            int64_t bytes, double fps, int n_threads, reel_shots *shots) {
    reel_reader_options options = reel_reader_options_default();
    options.width = LOOK_WIDTH;
    options.height = LOOK_HEIGHT;
    options.fit = REEL_FIT_STRETCH;
    options.n_threads = n_threads;
    reel_video_reader *reader = NULL;
    reel_scenes *scenes = NULL;
    times t = {.env = env};
    reel_shots made = {.id = reel_bytes_hash(data, bytes)};
    reel_status status = reel_video_reader_open_memory(env, data, bytes, name, &options, &reader);
    if (status == REEL_OK) {
        const reel_video_info info = reel_video_reader_info(reader);
        made.width = info.width;
        made.height = info.height;
        status = reel_scenes_new(env, LOOK_WIDTH, LOOK_HEIGHT, &scenes);
    }
    if (status == REEL_OK) status = look(reader, scenes, &t);
    if (status == REEL_OK && t.n == 0)
        status = reel_fail(env, REEL_E_FORMAT, "%s: holds no frame", name);
    if (status == REEL_OK) status = cut_up(scenes, &t, fps, arena, &made);
    reel_scenes_free(&scenes);
    reel_video_reader_close(&reader);
    reel_free(env, t.at);
    if (status == REEL_OK) *shots = made;
    return status;
}
