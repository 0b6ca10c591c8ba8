#include "eval/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "eval/prompts.h"
#include "media/video_reader.h"
#include "models/judge/judge.h"
#include "world/understand.h"

static const char tag[] = "drift";
enum { FIRST, LAST, N_ENDS };

typedef struct drift {
    reel_env *env;
    const reel_drift_options *o;
    reel_judge_model *judge; /* or NULL */
    reel_drift_figures sum[N_ENDS];
    double apart[5]; /* sums of distances: colour, then the other figures */
    int64_t right[N_ENDS], asked, changed, n_judged;
} drift;

/* ---- figures ---- */

reel_drift_figures reel_drift_measure(int64_t n, int64_t H, int64_t W, const uint8_t *rgb) {
    const int64_t frame = H * W;
    double mean[3] = {0}, bright = 0, square = 0, saturation = 0, sharp = 0, motion = 0;
    for (int64_t i = 0; i < n * frame; i++) {
        const uint8_t *p = rgb + 3 * i;
        const int most = p[0] > p[1] ? (p[0] > p[2] ? p[0] : p[2]) : (p[1] > p[2] ? p[1] : p[2]);
        const int least = p[0] < p[1] ? (p[0] < p[2] ? p[0] : p[2]) : (p[1] < p[2] ? p[1] : p[2]);
        const double light = (p[0] + p[1] + p[2]) / 3.0;
        bright += light;
        square += light * light;
        saturation += most - least;
        for (int c = 0; c < 3; c++) {
            mean[c] += p[c];
            if ((i + 1) % W) sharp += abs(p[c + 3] - p[c]);
            if (i >= frame) motion += abs(p[c] - (p - 3 * frame)[c]);
        }
    }
    const double all = (double)(n * frame), whole = 255 * all;
    const double light = bright / all;
    return (reel_drift_figures){
        .mean = {mean[0] / whole, mean[1] / whole, mean[2] / whole},
        .contrast = sqrt(fmax(square / all - light * light, 0)) / 255,
        .saturation = saturation / whole,
        .sharpness = W > 1 ? sharp / (3 * 255 * (double)(n * H * (W - 1))) : 0,
        .motion = n > 1 ? motion / (3 * 255 * (double)((n - 1) * frame)) : 0};
}

static void add(drift *d, const reel_drift_figures f[N_ENDS]) {
    double color = 0;
    for (int e = 0; e < N_ENDS; e++) {
        for (int c = 0; c < 3; c++)
            d->sum[e].mean[c] += f[e].mean[c];
        d->sum[e].contrast += f[e].contrast;
        d->sum[e].saturation += f[e].saturation;
        d->sum[e].sharpness += f[e].sharpness;
        d->sum[e].motion += f[e].motion;
    }
    for (int c = 0; c < 3; c++)
        color += pow(f[LAST].mean[c] - f[FIRST].mean[c], 2);
    d->apart[0] += sqrt(color);
    d->apart[1] += fabs(f[LAST].contrast - f[FIRST].contrast);
    d->apart[2] += fabs(f[LAST].saturation - f[FIRST].saturation);
    d->apart[3] += fabs(f[LAST].sharpness - f[FIRST].sharpness);
    d->apart[4] += fabs(f[LAST].motion - f[FIRST].motion);
}

/* ---- files ---- */

/* Frames [from, from + n) of a file, of the size the options say, into rgb [n,H,W,3]. */
static reel_status read_piece(drift *d, const char *path, const reel_reader_options *options,
                              int64_t from, int64_t n, uint8_t *rgb) {
    reel_video_reader *reader = NULL;
    reel_status status = reel_video_reader_open(d->env, path, options, &reader);
    if (status != REEL_OK) return status;
    int width, height;
    reel_video_reader_size(reader, &width, &height);
    const int64_t bytes = (int64_t)3 * width * height;
    for (int64_t i = 0; i < from + n && status == REEL_OK; i++) {
        bool got = false;
        status = reel_video_reader_next(reader, rgb + (i < from ? 0 : i - from) * bytes, &got);
        if (status == REEL_OK && !got)
            status = reel_fail(d->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                               path, (long long)i, (long long)from + n);
    }
    reel_video_reader_close(&reader);
    return status;
}

/* Both ends of n frames each, in memory the caller frees: [N_ENDS][n,H,W,3]. */
static reel_status read_ends(drift *d, const char *path, const reel_reader_options *options,
                             int64_t n_frames, int64_t n, uint8_t *rgb[N_ENDS]) {
    const int64_t bytes = n * 3 * options->width * options->height;
    rgb[FIRST] = reel_alloc(d->env, N_ENDS * bytes, tag);
    if (!rgb[FIRST]) return REEL_E_NOMEM;
    rgb[LAST] = rgb[FIRST] + bytes;
    reel_status status = read_piece(d, path, options, 0, n, rgb[FIRST]);
    if (status == REEL_OK) status = read_piece(d, path, options, n_frames - n, n, rgb[LAST]);
    return status;
}

/* What a file's recipe says it shows, as a prompt of the world; false when it does not say. */
static bool read_prompt(drift *d, const char *comment, reel_prompt *prompt) {
    reel_json_doc *doc = NULL;
    const char *text = NULL;
    reel_understood u = {0};
    bool good = comment && reel_json_parse(d->env, comment, (int64_t)strlen(comment), "recipe",
                                           &doc) == REEL_OK;
    if (good) {
        const reel_json root = reel_json_root(doc);
        good = reel_json_string(&root, "prompt", &text) == REEL_OK;
    }
    if (good) reel_prompt_understand(text, (int64_t)strlen(text), &u);
    reel_json_free(&doc);
    if (!good) reel_env_clear(d->env);
    *prompt = (reel_prompt){.truth = u.attributes, .mentions = u.mentions};
    return good;
}

/* Asks the judge about both ends; counts what the prompt says, and answers that change. */
static reel_status judge(drift *d, const char *path, int64_t n_frames, const reel_prompt *p) {
    const reel_judge_config *c = reel_judge_config_of(d->judge);
    reel_reader_options options = reel_reader_options_default();
    options.width = (int)c->width;
    options.height = (int)c->height;
    options.fit = REEL_FIT_CROP;
    uint8_t *rgb[N_ENDS] = {0};
    int32_t answer[N_ENDS][REEL_JUDGE_QUESTIONS];
    reel_status status = read_ends(d, path, &options, n_frames, c->frames, rgb);
    for (int e = 0; e < N_ENDS && status == REEL_OK; e++)
        status = reel_judge_look(d->judge, rgb[e], answer[e], NULL);
    reel_free(d->env, rgb[FIRST]);
    for (int q = 0; q < REEL_QUESTION_COUNT && status == REEL_OK; q++) {
        const int truth = reel_prompt_answer(p, q);
        if (truth == REEL_NO_ANSWER || q == REEL_QUESTION_OBJECTS) continue;
        d->asked++;
        for (int e = 0; e < N_ENDS; e++)
            d->right[e] += answer[e][q] == truth;
        d->changed += answer[FIRST][q] != answer[LAST][q];
    }
    d->n_judged += status == REEL_OK;
    return status;
}

static reel_status add_clip(drift *d, const char *path) {
    reel_video_reader *reader = NULL;
    int64_t n_frames = 0;
    reel_status status = reel_video_reader_open(d->env, path, NULL, &reader);
    if (status != REEL_OK) return status;
    const reel_video_info info = reel_video_reader_info(reader);
    reel_prompt prompt;
    const bool says = d->judge && read_prompt(d, info.comment, &prompt);
    status = reel_video_reader_count(reader, &n_frames);
    reel_reader_options options = reel_reader_options_default();
    options.width = info.width;
    options.height = info.height;
    const double fps = info.is_picture ? 0 : (double)info.fps.num / info.fps.den;
    const int64_t n = (int64_t)(REEL_DRIFT_SECONDS * fps);
    reel_video_reader_close(&reader);
    if (status == REEL_OK && (n < 1 || n_frames < 2 * n))
        status = reel_fail(d->env, REEL_E_ARG, "%s: has %lld frames, wanted two times %d seconds",
                           path, (long long)n_frames, REEL_DRIFT_SECONDS);
    uint8_t *rgb[N_ENDS] = {0};
    if (status == REEL_OK) status = read_ends(d, path, &options, n_frames, n, rgb);
    if (status == REEL_OK) {
        const reel_drift_figures f[N_ENDS] = {
            reel_drift_measure(n, options.height, options.width, rgb[FIRST]),
            reel_drift_measure(n, options.height, options.width, rgb[LAST])};
        add(d, f);
    }
    reel_free(d->env, rgb[FIRST]);
    if (status == REEL_OK && says) status = judge(d, path, n_frames, &prompt);
    return status;
}

/* ---- the report ---- */

static reel_status row(const drift *d, reel_scores *report, const char *group, const char *name,
                       double sum, bool share) {
    reel_scores_row r = {
        .reference = (double)NAN, .n = share ? d->n_judged : d->o->n_clips, .share = share};
    strcpy(r.section, "drift");
    strncpy(r.group, group, sizeof r.group - 1);
    strncpy(r.name, name, sizeof r.name - 1);
    r.value = share ? (d->asked ? sum / (double)d->asked : 0) : sum / d->o->n_clips;
    return reel_scores_add(report, &r);
}

static reel_status report_end(const drift *d, reel_scores *report, int end, const char *group) {
    const reel_drift_figures *s = &d->sum[end];
    const struct {
        const char *name;
        double sum;
    } figure[] = {{"red", s->mean[0]},           {"green", s->mean[1]},
                  {"blue", s->mean[2]},          {"contrast", s->contrast},
                  {"saturation", s->saturation}, {"sharpness", s->sharpness},
                  {"motion", s->motion}};
    reel_status status = REEL_OK;
    for (size_t i = 0; i < sizeof figure / sizeof *figure && status == REEL_OK; i++)
        status = row(d, report, group, figure[i].name, figure[i].sum, false);
    if (status == REEL_OK && d->n_judged)
        status = row(d, report, group, "judged right", (double)d->right[end], true);
    return status;
}

static reel_status report_all(const drift *d, reel_scores *report) {
    static const char *const name[] = {"color", "contrast", "saturation", "sharpness", "motion"};
    reel_status status = report_end(d, report, FIRST, "first 5 s");
    if (status == REEL_OK) status = report_end(d, report, LAST, "last 5 s");
    for (int i = 0; i < 5 && status == REEL_OK; i++)
        status = row(d, report, "apart", name[i], d->apart[i], false);
    if (status != REEL_OK || !d->n_judged) return status;
    status =
        row(d, report, "apart", "judged right", (double)(d->right[FIRST] - d->right[LAST]), true);
    if (status == REEL_OK)
        status = row(d, report, "apart", "answers that change", (double)d->changed, true);
    return status;
}

reel_status reel_drift_run(reel_env *env, const reel_drift_options *o, reel_scores *report) {
    drift d = {.env = env, .o = o};
    reel_status status = o->judge ? reel_judge_open(env, o->table, o->judge, &d.judge) : REEL_OK;
    for (int i = 0; i < o->n_clips && status == REEL_OK; i++)
        status = add_clip(&d, o->clip[i]);
    if (status == REEL_OK) status = report_all(&d, report);
    reel_judge_close(&d.judge);
    return status;
}
