/* What a judge sees in generated clips, beside what it sees in real renders of the same prompts. */
#include <math.h>

#include "eval/eval_state.h"
#include "eval/frechet.h"

static const char tag[] = "eval";

/* Questions, then what several of them make together. */
enum {
    EVERYTHING = REEL_QUESTION_COUNT, /* kind, color, motion, camera, ground and sky */
    COLORS,                           /* both objects' */
    OBJECTS,                          /* both, each in its color */
    N_SCORES
};
enum { MADE, REAL, N_SIDES };
/* The reference set of the distances lies far from the prompts' indices. */
enum { REFERENCE_INDEX = 1000000 };

typedef struct judged {
    reel_eval *e;
    int64_t n[REEL_PROMPTS_JUDGED][N_SCORES];
    int64_t right[N_SIDES][REEL_PROMPTS_JUDGED][N_SCORES];
    bool seeks;                   /* the judge can be asked what has a color */
    reel_json_out answers;        /* about what was made, where clips are kept */
    int64_t d;                    /* features */
    float *features[N_SIDES + 1]; /* [prompts,d]: of both sides, then of the reference */
} judged;

static const char *score_name(int score) {
    if (score == EVERYTHING) return "everything";
    if (score == COLORS) return "both colors";
    if (score == OBJECTS) return "both objects";
    return reel_question_name(score);
}

static bool is_of_everything(int q) {
    return q == REEL_ATTRIBUTE_KIND || q == REEL_ATTRIBUTE_COLOR || q == REEL_ATTRIBUTE_MOTION ||
           q == REEL_ATTRIBUTE_CAMERA || q == REEL_ATTRIBUTE_GROUND || q == REEL_ATTRIBUTE_SKY;
}

static void add(judged *j, const reel_prompt *p, int side, int score, bool is_right) {
    j->n[p->group][score] += side == MADE;
    j->right[side][p->group][score] += is_right;
}

/* Counts one clip's answers; what the prompt does not say is neither right nor wrong. */
static void count(judged *j, const reel_prompt *p, int side, const int32_t *answer) {
    bool everything = true, colors = true, objects, has_colors = false;
    for (int q = 0; q < REEL_QUESTION_COUNT; q++) {
        const int truth = reel_prompt_answer(p, q);
        if (truth == REEL_NO_ANSWER) continue;
        const bool is_right = truth == answer[q];
        add(j, p, side, q, is_right);
        if (is_of_everything(q)) everything = everything && is_right;
        if (q == REEL_ATTRIBUTE_COLOR || q == REEL_QUESTION_COLOR_1) colors = colors && is_right;
        if (q == REEL_QUESTION_COLOR_1) has_colors = true;
    }
    add(j, p, side, EVERYTHING, everything);
    if (j->seeks) {
        has_colors = reel_prompt_found(p, answer, &colors, &objects);
        if (has_colors) add(j, p, side, OBJECTS, objects);
    }
    if (has_colors) add(j, p, side, COLORS, colors);
}

static reel_status look(judged *j, const reel_prompt *p, int side, int64_t i) {
    int32_t answer[REEL_JUDGE_QUESTIONS];
    reel_eval *e = j->e;
    const reel_status status = reel_judge_look(e->judge, side == MADE ? e->made : e->real, answer,
                                               j->features[side] + i * j->d);
    if (status != REEL_OK) return status;
    count(j, p, side, answer);
    if (side == MADE && e->o->clips) reel_eval_answers_add(&j->answers, "judge", i, p, answer);
    return REEL_OK;
}

static reel_status add_prompt(judged *j, int64_t i) {
    reel_eval *e = j->e;
    reel_prompt p;
    reel_status status =
        reel_prompt_make(e->env, reel_prompt_group_of(i), e->o->seed, i, e->duration_s, &p);
    if (status == REEL_OK)
        status = reel_eval_model_generate(e->model, p.text, e->o->seed + (uint64_t)i, e->made);
    if (status == REEL_OK)
        status = reel_prompt_render(e->env, &p, &e->size, (float)e->o->fps, e->real);
    if (status == REEL_OK) status = look(j, &p, MADE, i);
    if (status == REEL_OK) status = look(j, &p, REAL, i);
    if (status == REEL_OK) status = reel_eval_keep_clip(e, "judge", i, &p);
    return status;
}

static reel_status report_scores(judged *j) {
    reel_status status = REEL_OK;
    for (int g = 0; g < REEL_PROMPTS_JUDGED; g++)
        for (int q = 0; q < N_SCORES && status == REEL_OK; q++)
            if (j->n[g][q])
                status = reel_eval_add_share(
                    j->e, "judge", reel_prompt_group_name((reel_prompt_group)g), score_name(q),
                    j->right[MADE][g][q], j->right[REAL][g][q], j->n[g][q]);
    return status;
}

/* ---- distance ---- */

/* Features of rendered clips of other prompts, of the same groups. */
static reel_status make_reference(judged *j) {
    reel_eval *e = j->e;
    const int64_t n = e->o->prompts;
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        reel_prompt p;
        status = reel_eval_told(e, "frechet", i, n);
        if (status == REEL_OK)
            status = reel_prompt_make(e->env, reel_prompt_group_of(i), e->o->seed,
                                      REFERENCE_INDEX + i, e->duration_s, &p);
        if (status == REEL_OK)
            status = reel_prompt_render(e->env, &p, &e->size, (float)e->o->fps, e->real);
        if (status == REEL_OK)
            status = reel_judge_look(e->judge, e->real, NULL, j->features[N_SIDES] + i * j->d);
    }
    return status;
}

static reel_status report_distance(judged *j) {
    const int64_t n = j->e->o->prompts;
    double distance[N_SIDES] = {0};
    reel_status status = make_reference(j);
    for (int side = 0; side < N_SIDES && status == REEL_OK; side++)
        status = reel_frechet(j->e->env, j->features[side], n, j->features[N_SIDES], n, j->d,
                              &distance[side]);
    return status == REEL_OK ? reel_eval_add(j->e, "frechet",
                                             n < REEL_FRECHET_FULL ? "diagonal" : "full covariance",
                                             "to other renders", distance[MADE], distance[REAL], n)
                             : status;
}

static reel_status measure(judged *j) {
    reel_eval *e = j->e;
    const int64_t n = e->o->prompts;
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        status = reel_eval_told(e, "judge", i, n);
        if (status == REEL_OK) status = add_prompt(j, i);
    }
    if (status == REEL_OK && e->o->clips)
        status = reel_eval_answers_write(e, &j->answers, "judge.json");
    if (status == REEL_OK && e->o->parts & REEL_EVAL_JUDGE) status = report_scores(j);
    if (status == REEL_OK && e->o->parts & REEL_EVAL_FRECHET && n > 1) status = report_distance(j);
    return status;
}

reel_status reel_eval_judged(reel_eval *e) {
    const reel_judge_config *c = reel_judge_config_of(e->judge);
    judged j = {.e = e, .seeks = c->n_questions == REEL_QUESTION_ALL, .d = c->features};
    bool room = true;
    reel_eval_answers_open(e, &j.answers);
    for (int i = 0; i <= N_SIDES; i++) {
        j.features[i] = reel_calloc(e->env, e->o->prompts * j.d, sizeof(float), tag);
        room = room && j.features[i];
    }
    const reel_status status = room ? measure(&j) : REEL_E_NOMEM;
    for (int i = 0; i <= N_SIDES; i++)
        reel_free(e->env, j.features[i]);
    reel_json_out_deinit(&j.answers);
    return status;
}
