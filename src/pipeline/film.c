#include "pipeline/film.h"

#include <stdio.h>
#include <string.h>

#include "media/font.h"
#include "media/video_reader.h"

static const char tag[] = "film";
enum { MOST_LINES = 12, LABEL_BYTES = 160 };

typedef struct cutter {
    reel_env *env;
    const reel_film *film;
    reel_video_writer *writer;
    reel_sheet *sheet;
    int64_t bytes;         /* of a frame */
    uint8_t *frame, *tail; /* [H,W,3]; [fade,H,W,3]: the last frames of the scene before */
    uint8_t *mixed;        /* [H,W,3] */
    int scene;
    int64_t at; /* frames of the scene that were given */
    int picked; /* of its frames, on the sheet */
} cutter;

int64_t reel_film_frames(const reel_film *film) {
    int64_t n = 0;
    for (int i = 0; i < film->n_scenes; i++)
        n += film->scene[i].frames - (i ? film->scene[i].fade : 0);
    return n;
}

/* ---- titles ---- */

static int count_columns(const char *text, size_t bytes) {
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

typedef struct lines {
    const char *text[MOST_LINES];
    size_t bytes[MOST_LINES];
    int n;
} lines;

/* Breaks words into lines of at most `columns` characters; false when a word is longer, or there
 * are too many lines. */
static bool break_lines(const char *words, int columns, lines *l) {
    l->n = 0;
    while (*words == ' ')
        words++;
    while (*words) {
        size_t used = 0, next = 0;
        if (l->n == MOST_LINES) return false;
        while (words[next]) {
            const size_t end = next + strcspn(words + next, " ");
            if (count_columns(words, end) > columns) break;
            used = end;
            next = end + strspn(words + end, " ");
        }
        if (!used) return false;
        l->text[l->n] = words;
        l->bytes[l->n++] = used;
        words += used + strspn(words + used, " ");
    }
    return true;
}

static void draw_lines(const reel_picture *p, const lines *l, int scale) {
    const int height = REEL_FONT_HEIGHT * scale * l->n;
    for (int i = 0; i < l->n; i++) {
        char text[512];
        const int width = count_columns(l->text[i], l->bytes[i]) * REEL_FONT_WIDTH * scale;
        snprintf(text, sizeof text, "%.*s", (int)l->bytes[i], l->text[i]);
        reel_font_draw(p, (p->width - width + scale) / 2,
                       (p->height - height) / 2 + i * REEL_FONT_HEIGHT * scale, scale, p->width,
                       text);
    }
}

void reel_film_title(const reel_picture *p, const char *words) {
    lines l;
    const int most = p->height / (3 * REEL_FONT_HEIGHT); /* three lines fill the picture */
    for (int scale = most < 1 ? 1 : most; scale >= 1; scale--) {
        const int columns = p->width * 9 / 10 / (REEL_FONT_WIDTH * scale);
        if (!break_lines(words, columns, &l)) continue;
        if (scale > 1 && l.n * REEL_FONT_HEIGHT * scale > p->height * 8 / 10) continue;
        draw_lines(p, &l, scale);
        return;
    }
    reel_font_draw(p, 0, (p->height - REEL_FONT_HEIGHT) / 2, 1, p->width, words); /* cut */
}

/* ---- frames ---- */

static const reel_film_scene *scene_of(const cutter *c) {
    return &c->film->scene[c->scene];
}

/* Frames at the scene's end that the next one fades out of. */
static int64_t held(const cutter *c) {
    return c->scene + 1 < c->film->n_scenes ? c->film->scene[c->scene + 1].fade : 0;
}

/* The sheet's frames are spread evenly from the first to the last. */
static reel_status pick(cutter *c, const uint8_t *pixels) {
    const reel_film_scene *s = scene_of(c);
    reel_status status = REEL_OK;
    while (c->sheet && c->picked < REEL_FILM_COLUMNS && status == REEL_OK &&
           c->picked * (s->frames - 1) / (REEL_FILM_COLUMNS - 1) <= c->at) {
        char label[LABEL_BYTES];
        uint8_t *borrowed;
        memcpy(&borrowed, &pixels, sizeof borrowed); /* a sheet only looks */
        const reel_picture picture = {borrowed, c->film->width, c->film->height};
        if (c->picked == 0)
            snprintf(label, sizeof label, "%d %s", c->scene + 1, s->label);
        else
            snprintf(label, sizeof label, "%.2f s", (double)c->at / c->film->fps);
        status = reel_sheet_add(c->sheet, &picture, label);
        c->picked++;
    }
    return status;
}

/* The scene's next frame: mixed with what it fades out of, kept for what it fades into, or
 * written as it is. No frame is both: fades of a scene do not overlap. */
static reel_status give(cutter *c, const uint8_t *pixels) {
    const reel_film_scene *s = scene_of(c);
    const int64_t rest = s->frames - held(c);
    reel_status status = pick(c, pixels);
    if (status != REEL_OK) return status;
    const int64_t at = c->at++;
    if (at >= rest) {
        memcpy(c->tail + (at - rest) * c->bytes, pixels, (size_t)c->bytes);
        return REEL_OK;
    }
    if (at >= s->fade) return reel_video_writer_push(c->writer, pixels);
    const int64_t n = s->fade + 1, k = at + 1; /* k of n parts are the new scene's */
    const uint8_t *old = c->tail + at * c->bytes;
    for (int64_t i = 0; i < c->bytes; i++)
        c->mixed[i] = (uint8_t)((old[i] * (n - k) + pixels[i] * k + n / 2) / n);
    return reel_video_writer_push(c->writer, c->mixed);
}

static reel_status give_title(cutter *c) {
    const reel_picture picture = {c->frame, c->film->width, c->film->height};
    reel_status status = REEL_OK;
    memset(c->frame, 0, (size_t)c->bytes);
    reel_film_title(&picture, scene_of(c)->title);
    for (int64_t i = 0; i < scene_of(c)->frames && status == REEL_OK; i++)
        status = give(c, c->frame);
    return status;
}

static reel_status give_part(cutter *c, const reel_film_part *p) {
    reel_video_reader *reader = NULL;
    reel_reader_options options = reel_reader_options_default();
    options.width = c->film->width;
    options.height = c->film->height;
    reel_status status = reel_video_reader_open(c->env, p->path, &options, &reader);
    const int64_t end = p->from + p->n;
    for (int64_t i = 0; i < end && status == REEL_OK; i++) {
        bool got;
        status = reel_video_reader_next(reader, c->frame, &got);
        if (status == REEL_OK && !got)
            status = reel_fail(c->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                               p->path, (long long)i, (long long)end);
        if (status == REEL_OK && i >= p->from) status = give(c, c->frame);
    }
    reel_video_reader_close(&reader);
    return status;
}

static reel_status give_scene(cutter *c) {
    const reel_film_scene *s = scene_of(c);
    c->at = 0;
    c->picked = 0;
    if (s->title) return give_title(c);
    for (int i = 0; i < s->n_parts; i++) {
        const reel_status status = give_part(c, &s->part[i]);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

reel_status reel_film_write(reel_env *env, const reel_film *film, reel_video_writer *writer,
                            reel_sheet *sheet) {
    cutter c = {.env = env,
                .film = film,
                .writer = writer,
                .sheet = sheet,
                .bytes = (int64_t)3 * film->width * film->height};
    int64_t longest = 0;
    for (int i = 0; i < film->n_scenes; i++)
        if (film->scene[i].fade > longest) longest = film->scene[i].fade;
    c.frame = reel_alloc(env, c.bytes, tag);
    c.mixed = reel_alloc(env, c.bytes, tag);
    c.tail = reel_calloc(env, longest, c.bytes, tag);
    reel_status status = c.frame && c.mixed && c.tail ? REEL_OK : REEL_E_NOMEM;
    for (; c.scene < film->n_scenes && status == REEL_OK; c.scene++) {
        if (film->tick) status = film->tick(film->context, c.scene);
        if (status == REEL_OK) status = give_scene(&c);
    }
    reel_free(env, c.frame);
    reel_free(env, c.mixed);
    reel_free(env, c.tail);
    return status;
}
