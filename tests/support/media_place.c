#include "support/media_place.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void count_line(void *context, reel_log_level level, const char *text) {
    (void)level;
    (void)text;
    media_place *p = context;
    p->n_warnings++;
}

int media_place_make(void **state) {
    media_place *p = calloc(1, sizeof *p);
    if (!p) return 1;
    *state = p;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    options.log = count_line;
    options.log_context = p;
    options.log_max = REEL_LOG_WARN;
    if (reel_env_new(&options, &p->env) != REEL_OK) return 1;
    const char *base = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%.48s/reel-media-XXXXXX", base ? base : "/tmp");
    return mkdtemp(p->folder) ? 0 : 1;
}

int media_place_free(void **state) {
    media_place *p = *state;
    const int left = rmdir(p->folder);
    const bool leaks = p->env->allocator.bytes != 0;
    if (left) fprintf(stderr, "%s: files are left\n", p->folder);
    if (leaks) fprintf(stderr, "%lld bytes leak\n", (long long)p->env->allocator.bytes);
    reel_env_free(&p->env);
    free(p);
    return left != 0 || leaks;
}

const char *media_place_path(const media_place *place, const char *name, char path[200]) {
    snprintf(path, 200, "%s/%.100s", place->folder, name);
    return path;
}

void media_place_remove(const media_place *place, const char *name) {
    char path[200];
    unlink(media_place_path(place, name, path));
}

int media_place_count(const media_place *place) {
    DIR *d = opendir(place->folder);
    if (!d) return -1;
    int n = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

void media_frame(int i, int width, int height, uint8_t *pixels) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = pixels + 3 * ((int64_t)y * width + x);
            p[0] = (uint8_t)(128 + 100 * sin(0.11 * x + 0.3 * i));
            p[1] = (uint8_t)(128 + 100 * sin(0.07 * y - 0.2 * i));
            p[2] = (uint8_t)(128 + 100 * sin(0.05 * (x + y)));
        }
}

void media_noise(int i, int width, int height, uint8_t *pixels) {
    uint32_t x = 2463534242u + (uint32_t)i * 977u;
    for (int64_t k = 0; k < 3 * (int64_t)width * height; k++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        pixels[k] = (uint8_t)(x >> 11);
    }
}

reel_status media_write(const media_place *place, const char *name,
                        const reel_video_options *options, int n_frames) {
    char path[200];
    reel_video_writer *w = NULL;
    uint8_t *pixels = malloc(3 * (size_t)options->width * (size_t)options->height);
    reel_status status =
        reel_video_writer_open(place->env, media_place_path(place, name, path), options, &w);
    for (int i = 0; i < n_frames && status == REEL_OK; i++) {
        media_frame(i, options->width, options->height, pixels);
        status = reel_video_writer_push(w, pixels);
    }
    if (status == REEL_OK) status = reel_video_writer_finish(w);
    reel_video_writer_close(&w);
    free(pixels);
    return status;
}

double media_psnr(const uint8_t *a, const uint8_t *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (double)(a[i] - b[i]);
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : 99;
}
