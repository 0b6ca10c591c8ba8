/* The parameter store: names, shapes and memory of a model's weights.
 *
 * A model is described once, by its forward. Recording it against an open store declares every
 * parameter it asks for (that is how weights are initialised from scratch, and how a loader learns
 * what a checkpoint must hold); recording it against a filled store uses what is there and fails
 * the tape when a name is missing or a shape is another.
 */
#ifndef REEL_NN_PARAMS_H
#define REEL_NN_PARAMS_H

#include "tape/tape.h"

/* How a parameter starts out. Names as in the papers: "xavier" is Glorot & Bengio 2010. */
typedef enum reel_init_kind {
    REEL_INIT_ZERO,
    REEL_INIT_ONE,
    REEL_INIT_NORMAL, /* standard deviation scale */
    REEL_INIT_XAVIER, /* uniform in +-scale * sqrt(6 / (fan_in + fan_out)) */
    REEL_INIT_FAN_IN, /* uniform in +-scale / sqrt(fan_in): PyTorch's default for linear and conv */
} reel_init_kind;

typedef struct reel_init {
    reel_init_kind kind;
    float scale;
} reel_init;

/* One parameter. fan_in is the product of all dimensions but the first. */
typedef struct reel_param {
    const char *name; /* owned by the store: "blocks.0.attn.qkv.weight" */
    reel_dtype dtype;
    reel_shape shape;
    reel_init init;
    void *data;    /* NULL until allocated or set */
    bool owned;    /* data belongs to the store */
    bool used;     /* some recording asked for it */
    bool frozen;   /* recorded as an input: no gradient */
    reel_var var;  /* its value on the tape recorded last */
    int64_t epoch; /* the recording that made var */
} reel_param;

typedef struct reel_params reel_params;

/* An empty, open store. The caller frees it. */
REEL_MUST_USE reel_status reel_params_new(reel_env *env, reel_params **params);
void reel_params_free(reel_params **params);

int reel_params_count(const reel_params *params);
reel_param *reel_params_at(reel_params *params, int index);
/* The parameter of that name, or NULL. O(1). */
reel_param *reel_params_find(reel_params *params, const char *name);
/* Elements of all parameters together. */
int64_t reel_params_elements(const reel_params *params);

/* Adds a parameter whose memory is the caller's (a mapped file): borrowed while the store lives. */
REEL_MUST_USE reel_status reel_params_set(reel_params *params, const char *name, reel_dtype dtype,
                                          reel_shape shape, void *data);
/* Adds a declared parameter without memory. Fails with REEL_E_ARG when the name is taken. */
REEL_MUST_USE reel_status reel_params_declare(reel_params *params, const char *name,
                                              reel_dtype dtype, reel_shape shape, reel_init init);

/* Closes the store: from now on a name that is not in it fails the tape instead of being declared.
 */
void reel_params_close(reel_params *params);
bool reel_params_closed(const reel_params *params);

/* Gives memory to every parameter that has none, in its own dtype, and fills it by its rule:
 * element i of a parameter depends on (seed, its name, i) alone. */
REEL_MUST_USE reel_status reel_params_initialise(reel_params *params, uint64_t seed);

/* Elements [first, first + n) of what the function above fills a parameter with, before they are
 * rounded to its dtype: for who writes a model without holding it. */
void reel_param_values(const reel_param *param, uint64_t seed, int64_t first, int64_t n,
                       float *out);

/* Which parameters are meant. */
typedef bool reel_param_choice(void *context, const reel_param *param);

/* Gives back the memory of those that choose takes, where it is the store's: they are unbound. For
 * parts of a model that are not going to be run. */
void reel_params_drop(reel_params *params, reel_param_choice *choose, void *context);

/* Turns weights of linear layers into q8_0 (tensor/q8.h), one after the other, so that no more than
 * one is held twice: every parameter of a float type and shape [O,I], I a multiple of 32, that has
 * memory and that choose takes (NULL: all whose name ends in ".weight"; an embedding's table is one
 * that only the caller can tell). The new memory is the store's and frozen; the old is given back
 * if it was. *n (may be NULL): how many. Any recording made before is stale. On REEL_E_NOMEM some
 * are quantised and all are usable. */
REEL_MUST_USE reel_status reel_params_quantise(reel_params *params, reel_param_choice *choose,
                                               void *context, int *n);

/* Starts a new recording: parameters get fresh values on the tape that asks next. */
void reel_params_begin_recording(reel_params *params);
/* The parameter as a value of tape: made at the first call of a recording, the same one after. */
reel_var reel_params_record(reel_params *params, reel_param *param, reel_tape *tape);

#endif
