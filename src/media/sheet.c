#include "media/sheet.h"

#include <stdio.h>
#include <string.h>

#include "media/font.h"
#include "media/video_reader.h"
#include "media/video_writer.h"

static const char tag_sheet[] = "sheet";
enum { GAP = 4, LABEL_HEIGHT = REEL_FONT_HEIGHT + 4, BACKGROUND = 24 };

struct reel_sheet {
    reel_env *env;
    reel_sheet_options options;
    int n;      /* cells used, those skipped at the end of a row included */
    int n_rows; /* there is memory for, [width, n_rows * row_height] */
    int width, row_height;
    uint8_t *pixels;
};

reel_sheet_options reel_sheet_options_default(void) {
    return (reel_sheet_options){.columns = 6, .cell_width = 192, .cell_height = 108};
}

reel_status reel_sheet_new(reel_env *env, const reel_sheet_options *o, reel_sheet **sheet) {
    if (o->columns < 1 || o->columns > REEL_SHEET_MAX_COLUMNS)
        return reel_fail(env, REEL_E_ARG, "contact sheet: got %d columns, wanted [1,%d]",
                         o->columns, REEL_SHEET_MAX_COLUMNS);
    if (o->cell_width < 16 || o->cell_width > REEL_SHEET_MAX_CELL || o->cell_height < 16 ||
        o->cell_height > REEL_SHEET_MAX_CELL)
        return reel_fail(env, REEL_E_ARG,
                         "contact sheet: got cells of %dx%d, wanted sides in [16,%d]",
                         o->cell_width, o->cell_height, REEL_SHEET_MAX_CELL);
    const int width = o->columns * (o->cell_width + GAP) + GAP;
    if (width > 16384)
        return reel_fail(env, REEL_E_ARG,
                         "contact sheet: got %d columns of %d pixels, wanted at most 16384 in all",
                         o->columns, o->cell_width);
    reel_sheet *s = reel_calloc(env, 1, sizeof *s, tag_sheet);
    if (!s) return REEL_E_NOMEM;
    s->env = env;
    s->options = *o;
    s->width = width;
    s->row_height = o->cell_height + LABEL_HEIGHT + GAP;
    *sheet = s;
    return REEL_OK;
}

void reel_sheet_free(reel_sheet **sheet) {
    if (!sheet || !*sheet) return;
    reel_sheet *s = *sheet;
    *sheet = NULL;
    reel_free(s->env, s->pixels);
    reel_free(s->env, s);
}

/* One more row of background; GAP rows above everything belong to the first. */
static reel_status add_row(reel_sheet *s) {
    const int64_t height = (int64_t)(s->n_rows + 1) * s->row_height + GAP;
    if (s->n >= REEL_SHEET_MAX_CELLS || height > 16384 ||
        height * s->width > REEL_PICTURE_MAX_PIXELS)
        return reel_fail(s->env, REEL_E_ARG,
                         "contact sheet: got a row that makes it %dx%lld, wanted at most 16384 a "
                         "side and 64 megapixels",
                         s->width, (long long)height);
    uint8_t *more = reel_realloc(s->env, s->pixels, 3 * height * s->width, tag_sheet);
    if (!more) return REEL_E_NOMEM;
    const int64_t old = s->n_rows == 0 ? 0 : (int64_t)s->n_rows * s->row_height + GAP;
    memset(more + 3 * old * s->width, BACKGROUND, (size_t)(3 * (height - old) * s->width));
    s->pixels = more;
    s->n_rows++;
    return REEL_OK;
}

static void put(const reel_sheet *s, const reel_picture *cell, int x, int y, const char *label) {
    for (int i = 0; i < cell->height; i++)
        memcpy(s->pixels + 3 * ((int64_t)(y + i) * s->width + x),
               cell->pixels + 3 * (int64_t)i * cell->width, 3 * (size_t)cell->width);
    const reel_picture all = {s->pixels, s->width, s->n_rows * s->row_height + GAP};
    if (label) reel_font_draw(&all, x, y + cell->height + 2, 1, cell->width, label);
}

reel_status reel_sheet_add(reel_sheet *s, const reel_picture *picture, const char *label) {
    const int row = s->n / s->options.columns, column = s->n % s->options.columns;
    reel_picture cell = {0};
    reel_status status = row >= s->n_rows ? add_row(s) : REEL_OK;
    if (status == REEL_OK)
        status = reel_picture_init(s->env, s->options.cell_width, s->options.cell_height, &cell);
    if (status == REEL_OK) status = reel_picture_fit(s->env, picture, REEL_FIT_LETTERBOX, &cell);
    if (status == REEL_OK) {
        put(s, &cell, GAP + column * (cell.width + GAP), GAP + row * s->row_height, label);
        s->n++;
    }
    reel_picture_deinit(s->env, &cell);
    return status;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Frame number of cell i: the first is the first, the last the last. */
static int64_t frame_of(int i, int n_cells, int64_t n_frames) {
    return n_cells == 1 ? 0 : (i * (n_frames - 1) + (n_cells - 1) / 2) / (n_cells - 1);
}

static reel_status add_frames(reel_sheet *s, reel_video_reader *r, const char *name,
                              int64_t n_frames, const reel_picture *frame) {
    const int n_cells = n_frames < s->options.columns ? (int)n_frames : s->options.columns;
    reel_status status = REEL_OK;
    for (int64_t k = 0, i = 0; i < n_cells && status == REEL_OK; k++) {
        bool got = false;
        status = reel_video_reader_next(r, frame->pixels, &got);
        if (status != REEL_OK || !got) break; /* fewer than were counted: what there is */
        if (k != frame_of((int)i, n_cells, n_frames)) continue;
        char label[256];
        const bool is_picture = reel_video_reader_info(r).is_picture;
        if (is_picture)
            snprintf(label, sizeof label, "%.200s", name);
        else
            snprintf(label, sizeof label, "%.2fs %.200s", reel_video_reader_time(r),
                     i == 0 ? name : "");
        status = reel_sheet_add(s, frame, label);
        i++;
    }
    return status;
}

reel_status reel_sheet_add_clip(reel_sheet *s, const char *path) {
    reel_video_reader *r = NULL;
    reel_picture frame = {0};
    int64_t n = 0;
    reel_status status = reel_video_reader_open(s->env, path, NULL, &r);
    if (status != REEL_OK) return status;
    int width, height;
    reel_video_reader_size(r, &width, &height);
    status = reel_video_reader_count(r, &n);
    if (status == REEL_OK) status = reel_picture_init(s->env, width, height, &frame);
    const int columns = s->options.columns;
    s->n = (s->n + columns - 1) / columns * columns; /* a row of its own */
    if (status == REEL_OK) status = add_frames(s, r, base_name(path), n, &frame);
    s->n = (s->n + columns - 1) / columns * columns;
    reel_picture_deinit(s->env, &frame);
    reel_video_reader_close(&r);
    return status;
}

reel_status reel_sheet_write(reel_sheet *s, const char *path, const char *comment) {
    if (s->n_rows == 0)
        return reel_fail(s->env, REEL_E_ARG, "%s: a contact sheet of no pictures", path);
    const reel_picture all = {s->pixels, s->width, s->n_rows * s->row_height + GAP};
    return reel_picture_write(s->env, path, &all, comment);
}
