/* Training goes on with a text encoder that says what it said in channels of equal size. */
#include "train/balance.h"
#include "train/dit_state.h"

static reel_var record_said(void *context, reel_nn *nn) {
    reel_dit_rows *p = context;
    p->said = reel_dit_record_said(p, nn);
    return p->said;
}

/* Captions of the first clips that are trained on, every third in the second language. */
static reel_status fill_captions(reel_dit_trainer *r, reel_row *row, int64_t n) {
    const reel_source *s = &r->material.train;
    reel_status status = REEL_OK;
    reel_row_clear(row);
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        char text[REEL_SOURCE_CAPTION_BYTES];
        status = s->caption(r->env, s->context, i, &r->recipe->data.bucket[0], i % 3 == 2,
                            (uint64_t)i, text);
        if (status == REEL_OK) status = reel_dit_set_caption(r, row, i, text);
    }
    return status;
}

/* *apart: before and after. */
static reel_status balance(reel_dit_trainer *r, reel_dit_rows *p, int64_t n, double apart[2]) {
    reel_status status = REEL_OK;
    for (int k = 0; k < 2 && status == REEL_OK; k++) {
        status = reel_program_run(p->program);
        if (status != REEL_OK) return status;
        const reel_balance_texts texts = {reel_program_data(p->program, p->said), n, p->row.X,
                                          r->t5.d_model};
        status = reel_balance_apart(r->env, &texts, &apart[k]);
        if (status == REEL_OK && k == 0) status = reel_balance_text(r->env, r->learner, &texts);
    }
    return status;
}

reel_status reel_dit_balance(void *context) {
    reel_dit_trainer *r = context;
    const reel_source *s = &r->material.train;
    reel_dit_rows *const p = &r->train; /* its row is filled anew by every step */
    double apart[2] = {0};
    if (!r->recipe->dit.balance_text) return REEL_OK;
    const int64_t n = s->n_clips > 0 && s->n_clips < p->row.N ? s->n_clips : p->row.N;
    reel_program *const training = p->program;
    p->program = NULL;
    reel_status status =
        reel_program_new(r->learner, REEL_PROGRAM_LOOK, record_said, p, &p->program);
    if (status == REEL_OK) status = fill_captions(r, &p->row, n);
    if (status == REEL_OK) status = balance(r, p, n, apart);
    reel_program_free(&p->program);
    p->program = training;
    if (status == REEL_OK)
        reel_run_tell(r->options, "dit", "balance", "texts were %.3f apart, are %.3f", apart[0],
                      apart[1]);
    return status;
}
