/* The handwritten DiT: see dit_by_hand.c. Letters: T tokens, C width, N heads, I patch in, O patch
 * out, M mlp width, L blocks, E sinusoid length, K classes (the last one stands for "none"). */
#ifndef REEL_TESTS_DIT_BY_HAND_H
#define REEL_TESTS_DIT_BY_HAND_H

enum { T = 4, C = 8, N = 2, D = C / N, I = 16, O = 32, M = 32, L = 2, E = 256, K = 11 };

typedef struct block {
    double mod_w[6 * C * C], mod_b[6 * C];
    double qkv_w[3 * C * C], qkv_b[3 * C];
    double proj_w[C * C], proj_b[C];
    double fc1_w[M * C], fc1_b[M];
    double fc2_w[C * M], fc2_b[C];
} block;

/* All weights; a second one of these holds all gradients. */
typedef struct dit {
    double patch_w[C * I], patch_b[C];
    double pos[T * C];
    double t0_w[C * E], t0_b[C], t2_w[C * C], t2_b[C];
    double classes[K * C];
    block blocks[L];
    double last_mod_w[2 * C * C], last_mod_b[2 * C];
    double last_w[O * C], last_b[O];
} dit;

/* Mean squared error between the model's output for patches x [T,I] at time t with class y and the
 * target [T,O]; adds the gradient of it by every weight to g, and writes the output to out [T,O].
 */
double dit_by_hand(const dit *w, dit *g, const double *x, double t, int y, const double *target,
                   double *out);

/* Where the weight of that name (as in the original checkpoint) lives in w, NULL if unknown. */
double *dit_by_hand_weight(dit *w, const char *name);

#endif
