/* What the files of an evaluation share. Included by nobody else. */
#ifndef REEL_EVAL_EVAL_STATE_H
#define REEL_EVAL_EVAL_STATE_H

#include "base/json_out.h"
#include "eval/eval.h"
#include "eval/model.h"
#include "eval/prompts.h"
#include "models/judge/judge.h"

typedef struct reel_eval {
    reel_env *env;
    const reel_eval_options *o;
    reel_scores *report;
    reel_eval_model *model;
    reel_judge_model *judge; /* NULL: none */
    char judge_folder[4096];
    reel_bucket size;
    float duration_s;
    uint8_t *made, *real; /* [F,H,W,3] each: two clips at hand */
} reel_eval;

/* One measurement each; rows are added to the report. */
REEL_MUST_USE reel_status reel_eval_vae(reel_eval *e);
REEL_MUST_USE reel_status reel_eval_judged(reel_eval *e); /* judge and frechet */
REEL_MUST_USE reel_status reel_eval_swap(reel_eval *e);
REEL_MUST_USE reel_status reel_eval_physics(reel_eval *e);
REEL_MUST_USE reel_status reel_eval_stereo(reel_eval *e);
REEL_MUST_USE reel_status reel_eval_tasks(reel_eval *e);

/* Clips of the parts that take fewer than there are prompts. */
int64_t reel_eval_fewer(const reel_eval *e);
/* REEL_E_CANCELLED when told to stop. */
REEL_MUST_USE reel_status reel_eval_told(reel_eval *e, const char *part, int64_t done,
                                         int64_t total);
/* A row: reference NaN for none. */
REEL_MUST_USE reel_status reel_eval_add(reel_eval *e, const char *section, const char *group,
                                        const char *name, double value, double reference,
                                        int64_t n);
/* A row of shares right / n. */
REEL_MUST_USE reel_status reel_eval_add_share(reel_eval *e, const char *section, const char *group,
                                              const char *name, int64_t right, int64_t right_real,
                                              int64_t n);

/* eval_keep.c: writes rgb u8 [F,H,W,3] of a size to path, with the prompt as its recipe. */
REEL_MUST_USE reel_status reel_eval_write_clip(reel_eval *e, const char *path,
                                               const reel_bucket *size, const reel_prompt *prompt,
                                               const uint8_t *rgb);

/* Where clips are kept (reel_eval_options.clips), e->made, what prompt i of a part
 * became, as CLIPS/0012-part.mkv with the prompt inside; else nothing happens. */
REEL_MUST_USE reel_status reel_eval_keep_clip(reel_eval *e, const char *part, int64_t i,
                                              const reel_prompt *prompt);

/* A list of what a judge answered: of every prompt the clip's name, the text, and what was wrong.
 * The caller deinits out. */
void reel_eval_answers_open(reel_eval *e, reel_json_out *out);
/* answer [REEL_QUESTION_COUNT] */
void reel_eval_answers_add(reel_json_out *out, const char *part, int64_t i,
                           const reel_prompt *prompt, const int32_t *answer);
/* Ends the list and writes it as CLIPS/name. */
REEL_MUST_USE reel_status reel_eval_answers_write(reel_eval *e, reel_json_out *out,
                                                  const char *name);

#endif
