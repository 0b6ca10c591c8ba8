/* What an evaluation made, kept for somebody who wants to look at it. */
#include <stdio.h>

#include "base/file.h"
#include "base/folder.h"
#include "eval/clip_file.h"
#include "eval/eval_state.h"

enum { PATH_BYTES = 4096 };

static reel_status path_of(reel_eval *e, const char *name, char path[PATH_BYTES]) {
    if (snprintf(path, PATH_BYTES, "%s/%s", e->o->clips, name) < PATH_BYTES) return REEL_OK;
    return reel_fail(e->env, REEL_E_ARG, "%.80s...: too long a name of a folder", e->o->clips);
}

static void clip_name(const char *part, int64_t i, char name[64]) {
    snprintf(name, 64, "%04lld-%s.mkv", (long long)i, part);
}

reel_status reel_eval_write_clip(reel_eval *e, const char *path, const reel_bucket *size,
                                 const reel_prompt *p, const uint8_t *rgb) {
    reel_json_out recipe;
    const char *text = NULL;
    int64_t bytes;
    reel_json_out_init(&recipe, e->env);
    reel_json_out_object_begin(&recipe);
    reel_json_out_put_string(&recipe, "prompt", p->text);
    reel_json_out_end(&recipe);
    reel_status status = reel_json_out_text(&recipe, &text, &bytes);
    if (status == REEL_OK) status = reel_clip_file_write(e->env, path, size, e->o->fps, text, rgb);
    reel_json_out_deinit(&recipe);
    return status;
}

reel_status reel_eval_keep_clip(reel_eval *e, const char *part, int64_t i, const reel_prompt *p) {
    char name[64], path[PATH_BYTES];
    if (!e->o->clips) return REEL_OK;
    clip_name(part, i, name);
    reel_status status = reel_folder_make(e->env, e->o->clips);
    if (status == REEL_OK) status = path_of(e, name, path);
    return status == REEL_OK ? reel_eval_write_clip(e, path, &e->size, p, e->made) : status;
}

/* ---- answers ---- */

void reel_eval_answers_open(reel_eval *e, reel_json_out *out) {
    reel_json_out_init(out, e->env);
    reel_json_out_array_begin(out);
}

void reel_eval_answers_add(reel_json_out *out, const char *part, int64_t i, const reel_prompt *p,
                           const int32_t *answer) {
    char name[64];
    clip_name(part, i, name);
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "clip", name);
    reel_json_out_put_string(out, "group", reel_prompt_group_name(p->group));
    reel_json_out_put_string(out, "prompt", p->text);
    reel_json_out_key(out, "wrong");
    reel_json_out_object_begin(out);
    for (int q = 0; q < REEL_QUESTION_COUNT; q++) {
        const int truth = reel_prompt_answer(p, q);
        if (truth == REEL_NO_ANSWER || truth == answer[q]) continue;
        reel_json_out_key(out, reel_question_name(q));
        reel_json_out_object_begin(out);
        reel_json_out_put_string(out, "asked", reel_question_answer_name(q, truth));
        reel_json_out_put_string(out, "seen", reel_question_answer_name(q, answer[q]));
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
    reel_json_out_end(out);
}

reel_status reel_eval_answers_write(reel_eval *e, reel_json_out *out, const char *name) {
    char path[PATH_BYTES];
    const char *text;
    int64_t bytes;
    reel_json_out_end(out);
    reel_status status = path_of(e, name, path);
    if (status == REEL_OK) status = reel_json_out_text(out, &text, &bytes);
    return status == REEL_OK ? reel_file_write(e->env, path, text, bytes) : status;
}
