#include "train/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"

enum { MAX_CURVES = 64, NAME_BYTES = 64, MAX_POINTS = 400, MAX_SETS = 4, PATH_BYTES = 4096 };
enum { WIDTH = 360, HEIGHT = 150, EDGE = 28 };
enum { MOST_WORDS = 1 << 16 };
static const int64_t most_bytes = (int64_t)1 << 30;

/* One number over steps. */
typedef struct curve {
    char name[NAME_BYTES];
    double *x, *y;
    int64_t n, room;
} curve;

typedef struct report {
    reel_env *env;
    reel_arena arena; /* points and pictures */
    reel_writer *out;
    reel_status status;
    curve curve[MAX_CURVES];
    int n_curves;
} report;

static void say(report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(report *r, const char *text, int64_t bytes) {
    if (r->status == REEL_OK) r->status = reel_writer_write(r->out, text, bytes);
}

static void say(report *r, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(r, text, n < (int)sizeof text ? n : (int)sizeof text - 1);
}

/* Text that comes from files, with what HTML would read as markup escaped. */
static void say_text(report *r, const char *text) {
    for (; *text; text++) {
        if (*text == '<')
            put(r, "&lt;", 4);
        else if (*text == '&')
            put(r, "&amp;", 5);
        else
            put(r, text, 1);
    }
}

/* ---- collecting ---- */

static curve *curve_of(report *r, const char *name) {
    for (int i = 0; i < r->n_curves; i++)
        if (strcmp(r->curve[i].name, name) == 0) return &r->curve[i];
    if (r->n_curves == MAX_CURVES || strlen(name) >= NAME_BYTES) return NULL;
    curve *c = &r->curve[r->n_curves++];
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

/* A point at a step. A run that was killed repeats some steps: the later line counts. */
static void add_point(report *r, const char *name, double x, double y) {
    curve *c = curve_of(r, name);
    if (!c) return;
    while (c->n && c->x[c->n - 1] >= x)
        c->n--;
    if (c->n == c->room) {
        const int64_t room = c->room ? 2 * c->room : 256;
        double *grown = reel_arena_calloc(&r->arena, 2 * room, sizeof *grown);
        if (!grown) {
            r->status = REEL_E_NOMEM;
            return;
        }
        if (c->n) {
            memcpy(grown, c->x, (size_t)c->n * sizeof *grown);
            memcpy(grown + room, c->y, (size_t)c->n * sizeof *grown);
        }
        c->x = grown;
        c->y = grown + room;
        c->room = room;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
}

/* Every number of an object is a curve; those of objects within it are "outer inner". */
static void add_numbers(report *r, const reel_json *at, const char *prefix, double step) {
    for (reel_json_entry e = reel_json_first(at); e.key; e = reel_json_next(at, e)) {
        char name[2 * NAME_BYTES];
        double y;
        snprintf(name, sizeof name, "%.60s%.60s", prefix, e.key);
        if (reel_json_count(&e.value) > 0) {
            char inner[NAME_BYTES + 2];
            snprintf(inner, sizeof inner, "%.60s ", e.key);
            add_numbers(r, &e.value, inner, step);
        } else if (strcmp(e.key, "step") != 0 && strcmp(e.key, "samples") != 0 &&
                   reel_json_real(&e.value, NULL, -1e300, 1e300, &y) == REEL_OK) {
            add_point(r, name, step, y);
        }
        reel_env_clear(r->env); /* a word where a number might be is no failure */
    }
}

static void read_line(report *r, const char *line, int64_t bytes) {
    reel_json_doc *doc;
    double step;
    if (reel_json_parse(r->env, line, bytes, "metrics.jsonl", &doc) != REEL_OK) {
        reel_env_clear(r->env); /* the line a kill cut in two */
        return;
    }
    const reel_json at = reel_json_root(doc);
    if (reel_json_real(&at, "step", 0, 1e15, &step) == REEL_OK) add_numbers(r, &at, "", step);
    reel_env_clear(r->env);
    reel_json_free(&doc);
}

static reel_status read_metrics(report *r, const char *folder) {
    char path[PATH_BYTES], *text;
    int64_t bytes;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    if (!reel_path_exists(path)) return REEL_OK;
    const reel_status status = reel_file_read(r->env, path, most_bytes, &text, &bytes);
    if (status != REEL_OK) return status;
    for (int64_t from = 0; from < bytes && r->status == REEL_OK;) {
        const char *end = memchr(text + from, '\n', (size_t)(bytes - from));
        const int64_t to = end ? end - text : bytes;
        if (to > from) read_line(r, text + from, to - from);
        from = to + 1;
    }
    reel_free(r->env, text);
    return r->status;
}

/* ---- drawing ---- */

/* At most MAX_POINTS means of neighbours. */
static int64_t thin(const curve *c, double x[MAX_POINTS], double y[MAX_POINTS]) {
    const int64_t n = c->n < MAX_POINTS ? c->n : MAX_POINTS;
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = i * c->n / n, to = (i + 1) * c->n / n;
        x[i] = y[i] = 0;
        for (int64_t k = from; k < to; k++) {
            x[i] += c->x[k] / (double)(to - from);
            y[i] += c->y[k] / (double)(to - from);
        }
    }
    return n;
}

static void draw(report *r, const curve *c) {
    double x[MAX_POINTS] = {0}, y[MAX_POINTS] = {0};
    const int64_t n = thin(c, x, y);
    if (!n) return;
    double least = y[0], most = y[0];
    for (int64_t i = 0; i < n; i++) {
        least = fmin(least, y[i]);
        most = fmax(most, y[i]);
    }
    const double span = most > least ? most - least : 1, wide = fmax(x[n - 1] - x[0], 1);
    say(r, "<figure><figcaption>");
    say_text(r, c->name);
    say(r, " <b>%.5g</b></figcaption><svg viewBox='0 0 %d %d'><polyline points='", c->y[c->n - 1],
        WIDTH, HEIGHT);
    for (int64_t i = 0; i < n; i++)
        say(r, "%.1f,%.1f ", EDGE + (x[i] - x[0]) / wide * (WIDTH - EDGE - 4),
            4 + (most - y[i]) / span * (HEIGHT - EDGE));
    say(r, "'/><text x='%d' y='12'>%.4g</text><text x='%d' y='%d'>%.4g</text>", EDGE + 2, most,
        EDGE + 2, HEIGHT - EDGE, least);
    say(r, "<text x='%d' y='%d'>%.0f</text><text x='%d' y='%d' text-anchor='end'>%.0f</text>", EDGE,
        HEIGHT - 6, x[0], WIDTH - 4, HEIGHT - 6, x[n - 1]);
    say(r, "</svg></figure>\n");
}

/* ---- pictures ---- */

static void put_base64(report *r, const unsigned char *data, int64_t bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char chunk[4096];
    int n = 0;
    for (int64_t i = 0; i < bytes; i += 3) {
        const int64_t left = bytes - i;
        const unsigned three = (unsigned)data[i] << 16 |
                               (left > 1 ? (unsigned)data[i + 1] << 8 : 0) |
                               (left > 2 ? (unsigned)data[i + 2] : 0);
        chunk[n++] = digits[three >> 18];
        chunk[n++] = digits[three >> 12 & 63];
        chunk[n++] = left > 1 ? digits[three >> 6 & 63] : '=';
        chunk[n++] = left > 2 ? digits[three & 63] : '=';
        if (n == (int)sizeof chunk) {
            put(r, chunk, n);
            n = 0;
        }
    }
    put(r, chunk, n);
}

/* The words below a picture, when there are any. */
static reel_status put_words(report *r, const char *picture) {
    char *text;
    int64_t bytes;
    const char *path =
        reel_arena_printf(&r->arena, "%.*s.txt", (int)(strlen(picture) - 4), picture);
    if (!path) return REEL_E_NOMEM;
    if (!reel_path_exists(path)) return REEL_OK;
    const reel_status status = reel_file_read(r->env, path, MOST_WORDS, &text, &bytes);
    if (status != REEL_OK) return status;
    say(r, "<figcaption>");
    say_text(r, text);
    say(r, "</figcaption>");
    reel_free(r->env, text);
    return REEL_OK;
}

static reel_status put_picture(report *r, const char *path) {
    char *data;
    int64_t bytes;
    const reel_status status = reel_file_read(r->env, path, most_bytes, &data, &bytes);
    if (status != REEL_OK) return status;
    say(r, "<figure class='sample'><img src='data:image/png;base64,");
    put_base64(r, (const unsigned char *)data, bytes);
    say(r, "'>");
    reel_free(r->env, data);
    const reel_status words = put_words(r, path);
    say(r, "</figure>\n");
    return words;
}

/* How much of a name says which set it is of: up to its second '-', or to the ending. */
static int set_length(const char *name) {
    const char *dash = strchr(name, '-');
    const char *second = dash ? strchr(dash + 1, '-') : NULL;
    return (int)(second ? second - name : (long)strlen(name) - 4);
}

static bool same_set(const char *a, const char *b) {
    return set_length(a) == set_length(b) && memcmp(a, b, (size_t)set_length(a)) == 0;
}

static reel_status draw_pictures(report *r, const char *folder) {
    char path[PATH_BYTES];
    const char *const *name;
    int64_t n;
    snprintf(path, sizeof path, "%s/samples", folder);
    if (!reel_path_exists(path)) return REEL_OK;
    reel_status status = reel_folder_list(r->env, &r->arena, path, "", ".png", &name, &n);
    int64_t end = n;
    for (int k = 0; k < MAX_SETS && end > 0 && status == REEL_OK; k++) {
        int64_t first = end - 1;
        while (first > 0 && same_set(name[first - 1], name[end - 1]))
            first--;
        const char *set =
            reel_arena_printf(&r->arena, "%.*s", set_length(name[first]), name[first]);
        if (!set) return REEL_E_NOMEM;
        say(r, "<h2>");
        say_text(r, set);
        say(r, "</h2>\n");
        for (int64_t i = first; i < end && status == REEL_OK; i++) {
            const char *file = reel_arena_printf(&r->arena, "%s/samples/%s", folder, name[i]);
            status = file ? put_picture(r, file) : REEL_E_NOMEM;
        }
        end = first;
    }
    return status == REEL_OK ? r->status : status;
}

static void put_recipe(report *r, const char *folder) {
    char path[PATH_BYTES], *text;
    int64_t bytes;
    snprintf(path, sizeof path, "%s/recipe.json", folder);
    if (reel_file_read(r->env, path, most_bytes, &text, &bytes) != REEL_OK) {
        reel_env_clear(r->env);
        return;
    }
    say(r, "<h2>recipe</h2><pre>");
    say_text(r, text);
    say(r, "</pre>\n");
    reel_free(r->env, text);
}

/* ---- the page ---- */

static void begin_page(report *r, const char *title) {
    say(r, "<!doctype html><html lang='en'><meta charset='utf-8'><title>");
    say_text(r, title);
    say(r,
        "</title><style>body{font:14px system-ui,sans-serif;margin:2em;max-width:1200px;"
        "color:#222;background:#fff}figure{display:inline-block;margin:0 12px 12px 0;width:%dpx}"
        "svg{width:100%%;background:#f6f6f4}polyline{fill:none;stroke:#b5432a;stroke-width:1.5}"
        "text{font-size:10px;fill:#666}img{max-width:100%%}.sample{width:auto;max-width:100%%}"
        "pre{white-space:pre-wrap;color:#555}"
        "</style><h1>",
        WIDTH);
    say_text(r, title);
    say(r, "</h1>\n");
}

reel_status reel_report_write(reel_env *env, const char *folder, const char *title) {
    report *r = reel_calloc(env, 1, sizeof *r, "report");
    if (!r) return REEL_E_NOMEM;
    char path[PATH_BYTES];
    r->env = env;
    reel_arena_init(&r->arena, env, 1 << 16, "report");
    snprintf(path, sizeof path, "%s/report.html", folder);
    reel_status status = read_metrics(r, folder);
    if (status == REEL_OK) status = reel_writer_open(env, path, &r->out);
    if (status == REEL_OK) {
        begin_page(r, title);
        for (int i = 0; i < r->n_curves; i++)
            draw(r, &r->curve[i]);
        status = draw_pictures(r, folder);
        put_recipe(r, folder);
        say(r, "</html>\n");
        if (status == REEL_OK) status = r->status;
        if (status == REEL_OK) status = reel_writer_commit(r->out);
    }
    reel_writer_close(&r->out);
    reel_arena_deinit(&r->arena);
    reel_free(env, r);
    return status;
}
