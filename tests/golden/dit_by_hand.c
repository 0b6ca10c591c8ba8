/* A diffusion transformer and its gradient, by hand (Peebles & Xie 2022, "Scalable diffusion models
 * with transformers"): no tape, no tensors, no libraries, doubles throughout. Read it from bottom
 * to top as a tutorial; the tests hold reel's engine against it, since the two share no line.
 *
 * Every function f has a twin f_back beside it. Gradients are added to (+=), never assigned,
 * because a value that is used twice receives two of them. dx is the gradient of x. */
#include "golden/dit_by_hand.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- y = x w^T + b: x [R,in] w [out,in] y [R,out] ---- */
static void linear(int R, int in, int out, const double *x, const double *w, const double *b,
                   double *y) {
    for (int r = 0; r < R; r++)
        for (int o = 0; o < out; o++) {
            y[r * out + o] = b[o];
            for (int i = 0; i < in; i++)
                y[r * out + o] += x[r * in + i] * w[o * in + i];
        }
}
static void linear_back(int R, int in, int out, const double *x, const double *w, const double *dy,
                        double *dx, double *dw, double *db) {
    for (int r = 0; r < R; r++)
        for (int o = 0; o < out; o++) {
            db[o] += dy[r * out + o];
            for (int i = 0; i < in; i++) {
                if (dx) dx[r * in + i] += dy[r * out + o] * w[o * in + i];
                dw[o * in + i] += dy[r * out + o] * x[r * in + i];
            }
        }
}

/* ---- y = norm(x) (1 + scale) + shift: x [T,C], shift and scale [C] ---- */
static double normalise(const double *x, double *n) { /* n = (x - mean) / std; returns 1 / std */
    double mean = 0, var = 0;
    for (int c = 0; c < C; c++)
        mean += x[c] / C;
    for (int c = 0; c < C; c++)
        var += (x[c] - mean) * (x[c] - mean) / C;
    const double rstd = 1 / sqrt(var + 1e-6);
    for (int c = 0; c < C; c++)
        n[c] = (x[c] - mean) * rstd;
    return rstd;
}
static void norm_modulate(const double *x, const double *shift, const double *scale, double *y) {
    double n[C];
    for (int t = 0; t < T; t++) {
        normalise(x + t * C, n);
        for (int c = 0; c < C; c++)
            y[t * C + c] = n[c] * (1 + scale[c]) + shift[c];
    }
}
static void norm_modulate_back(const double *x, const double *scale, const double *dy, double *dx,
                               double *dshift, double *dscale) {
    for (int t = 0; t < T; t++) {
        double n[C], dn[C], mean_dn = 0, mean_dn_n = 0;
        const double rstd = normalise(x + t * C, n);
        for (int c = 0; c < C; c++) {
            dshift[c] += dy[t * C + c];
            dscale[c] += dy[t * C + c] * n[c];
            dn[c] = dy[t * C + c] * (1 + scale[c]);
            mean_dn += dn[c] / C;
            mean_dn_n += dn[c] * n[c] / C;
        }
        for (int c = 0; c < C; c++)
            dx[t * C + c] += rstd * (dn[c] - mean_dn - n[c] * mean_dn_n);
    }
}

/* ---- y = x + gate b: the gated residual, gate [C] ---- */
static void gated(const double *x, const double *gate, const double *b, double *y) {
    for (int i = 0; i < T * C; i++)
        y[i] = x[i] + gate[i % C] * b[i];
}
static void gated_back(const double *gate, const double *b, const double *dy, double *dx,
                       double *dgate, double *db) {
    for (int i = 0; i < T * C; i++) {
        dx[i] += dy[i];
        dgate[i % C] += dy[i] * b[i];
        db[i] += dy[i] * gate[i % C];
    }
}

/* ---- attention: qkv [T,3,N,D] -> y [T,N,D], with p [N,T,T] = softmax(q k^T / sqrt(D)) ---- */
static void attention(const double *qkv, double *p, double *y) {
    for (int n = 0; n < N; n++)
        for (int i = 0; i < T; i++) {
            double *row = p + (n * T + i) * T, sum = 0;
            for (int j = 0; j < T; j++) {
                double s = 0;
                for (int d = 0; d < D; d++)
                    s += qkv[i * 3 * C + n * D + d] * qkv[j * 3 * C + C + n * D + d];
                sum += row[j] = exp(s / sqrt(D));
            }
            for (int j = 0; j < T; j++)
                row[j] /= sum;
            for (int d = 0; d < D; d++) {
                double v = 0;
                for (int j = 0; j < T; j++)
                    v += row[j] * qkv[j * 3 * C + 2 * C + n * D + d];
                y[i * C + n * D + d] = v;
            }
        }
}
static void attention_back(const double *qkv, const double *p, const double *dy, double *dqkv) {
    for (int n = 0; n < N; n++)
        for (int i = 0; i < T; i++) {
            const double *row = p + (n * T + i) * T;
            double dp[T], mean = 0; /* ds = p (dp - sum_j p dp) */
            for (int j = 0; j < T; j++) {
                dp[j] = 0;
                for (int d = 0; d < D; d++) {
                    dp[j] += dy[i * C + n * D + d] * qkv[j * 3 * C + 2 * C + n * D + d];
                    dqkv[j * 3 * C + 2 * C + n * D + d] += row[j] * dy[i * C + n * D + d];
                }
                mean += row[j] * dp[j];
            }
            for (int j = 0; j < T; j++)
                for (int d = 0; d < D; d++) {
                    const double ds = row[j] * (dp[j] - mean) / sqrt(D);
                    dqkv[i * 3 * C + n * D + d] += ds * qkv[j * 3 * C + C + n * D + d];
                    dqkv[j * 3 * C + C + n * D + d] += ds * qkv[i * 3 * C + n * D + d];
                }
        }
}

/* ---- gelu (tanh form) and silu ---- */
static double gelu(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double gelu_back(double x) {
    const double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}
static double silu(double x) {
    return x / (1 + exp(-x));
}
static double silu_back(double x) {
    const double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

/* ---- one block, and what its backward needs of its forward ---- */
typedef struct saved {
    double x[T * C], mod[6 * C], h1[T * C], qkv[T * 3 * C], p[N * T * T], a[T * C], proj[T * C];
    double mid[T * C], h2[T * C], f[T * M], g[T * M], mlp[T * C];
} saved;

/* mod = shift1 scale1 gate1 shift2 scale2 gate2 = W silu(cond): adaLN-Zero, figure 3 of the paper
 */
static void block_forward(const block *w, saved *s, const double *cond, double *y) {
    linear(1, C, 6 * C, cond, w->mod_w, w->mod_b, s->mod);
    norm_modulate(s->x, s->mod, s->mod + C, s->h1);
    linear(T, C, 3 * C, s->h1, w->qkv_w, w->qkv_b, s->qkv);
    attention(s->qkv, s->p, s->a);
    linear(T, C, C, s->a, w->proj_w, w->proj_b, s->proj);
    gated(s->x, s->mod + 2 * C, s->proj, s->mid);
    norm_modulate(s->mid, s->mod + 3 * C, s->mod + 4 * C, s->h2);
    linear(T, C, M, s->h2, w->fc1_w, w->fc1_b, s->f);
    for (int i = 0; i < T * M; i++)
        s->g[i] = gelu(s->f[i]);
    linear(T, M, C, s->g, w->fc2_w, w->fc2_b, s->mlp);
    gated(s->mid, s->mod + 5 * C, s->mlp, y);
}
static void block_back(const block *w, block *g, const saved *s, const double *cond,
                       const double *dy, double *dx,
                       double *dcond) { /* the same lines, last one first */
    double dmod[6 * C] = {0}, dmid[T * C] = {0}, dmlp[T * C] = {0}, dg[T * M] = {0},
                    dh2[T * C] = {0};
    double dproj[T * C] = {0}, da[T * C] = {0}, dqkv[T * 3 * C] = {0}, dh1[T * C] = {0};
    gated_back(s->mod + 5 * C, s->mlp, dy, dmid, dmod + 5 * C, dmlp);
    linear_back(T, M, C, s->g, w->fc2_w, dmlp, dg, g->fc2_w, g->fc2_b);
    for (int i = 0; i < T * M; i++)
        dg[i] *= gelu_back(s->f[i]);
    linear_back(T, C, M, s->h2, w->fc1_w, dg, dh2, g->fc1_w, g->fc1_b);
    norm_modulate_back(s->mid, s->mod + 4 * C, dh2, dmid, dmod + 3 * C, dmod + 4 * C);
    gated_back(s->mod + 2 * C, s->proj, dmid, dx, dmod + 2 * C, dproj);
    linear_back(T, C, C, s->a, w->proj_w, dproj, da, g->proj_w, g->proj_b);
    attention_back(s->qkv, s->p, da, dqkv);
    linear_back(T, C, 3 * C, s->h1, w->qkv_w, dqkv, dh1, g->qkv_w, g->qkv_b);
    norm_modulate_back(s->x, s->mod + C, dh1, dx, dmod, dmod + C);
    linear_back(1, C, 6 * C, cond, w->mod_w, dmod, dcond, g->mod_w, g->mod_b);
}

/* ---- the model ---- */
double dit_by_hand(const dit *w, dit *g, const double *x, double t, int y, const double *target,
                   double *out) {
    saved s[L + 1]; /* s[L].x is the last block's output */
    double wave[E], e0[C], e1[C], e2[C], cond[C], last_mod[2 * C], h[T * C];

    /* forward */
    for (int i = 0; i < E / 2; i++) { /* t as cosines and sines of falling frequency */
        wave[i] = cos(t * exp(-log(10000) * i / (E / 2)));
        wave[E / 2 + i] = sin(t * exp(-log(10000) * i / (E / 2)));
    }
    linear(1, E, C, wave, w->t0_w, w->t0_b, e0);
    for (int c = 0; c < C; c++)
        e1[c] = silu(e0[c]);
    linear(1, C, C, e1, w->t2_w, w->t2_b, e2);
    for (int c = 0; c < C; c++)
        cond[c] = silu(e2[c] + w->classes[y * C + c]);
    linear(T, I, C, x, w->patch_w, w->patch_b, s[0].x);
    for (int i = 0; i < T * C; i++)
        s[0].x[i] += w->pos[i];
    for (int l = 0; l < L; l++)
        block_forward(&w->blocks[l], &s[l], cond, s[l + 1].x);
    linear(1, C, 2 * C, cond, w->last_mod_w, w->last_mod_b, last_mod);
    norm_modulate(s[L].x, last_mod, last_mod + C, h);
    linear(T, C, O, h, w->last_w, w->last_b, out);
    double loss = 0, dout[T * O];
    for (int i = 0; i < T * O; i++)
        loss += (out[i] - target[i]) * (out[i] - target[i]) / (T * O);

    /* backward */
    double dh[T * C] = {0}, dlast_mod[2 * C] = {0}, dcond[C] = {0}, dx[2][T * C] = {{0}},
                  de1[C] = {0};
    for (int i = 0; i < T * O; i++)
        dout[i] = 2 * (out[i] - target[i]) / (T * O);
    linear_back(T, C, O, h, w->last_w, dout, dh, g->last_w, g->last_b);
    norm_modulate_back(s[L].x, last_mod + C, dh, dx[L % 2], dlast_mod, dlast_mod + C);
    linear_back(1, C, 2 * C, cond, w->last_mod_w, dlast_mod, dcond, g->last_mod_w, g->last_mod_b);
    for (int l = L - 1; l >= 0; l--) {
        memset(dx[l % 2], 0, sizeof dx[0]);
        block_back(&w->blocks[l], &g->blocks[l], &s[l], cond, dx[(l + 1) % 2], dx[l % 2], dcond);
    }
    for (int i = 0; i < T * C; i++)
        g->pos[i] += dx[0][i];
    linear_back(T, I, C, x, w->patch_w, dx[0], NULL, g->patch_w, g->patch_b);
    for (int c = 0; c < C; c++) {
        dcond[c] *= silu_back(e2[c] + w->classes[y * C + c]);
        g->classes[y * C + c] += dcond[c];
    }
    linear_back(1, C, C, e1, w->t2_w, dcond, de1, g->t2_w, g->t2_b);
    for (int c = 0; c < C; c++)
        de1[c] *= silu_back(e0[c]);
    linear_back(1, E, C, wave, w->t0_w, de1, NULL, g->t0_w, g->t0_b);
    return loss;
}

double *dit_by_hand_weight(dit *w, const char *name) {
    const struct {
        const char *name;
        double *at;
    } top[] = {{"x_embedder.proj.weight", w->patch_w},
               {"x_embedder.proj.bias", w->patch_b},
               {"pos_embed", w->pos},
               {"t_embedder.mlp.0.weight", w->t0_w},
               {"t_embedder.mlp.0.bias", w->t0_b},
               {"t_embedder.mlp.2.weight", w->t2_w},
               {"t_embedder.mlp.2.bias", w->t2_b},
               {"y_embedder.embedding_table.weight", w->classes},
               {"final_layer.adaLN_modulation.1.weight", w->last_mod_w},
               {"final_layer.adaLN_modulation.1.bias", w->last_mod_b},
               {"final_layer.linear.weight", w->last_w},
               {"final_layer.linear.bias", w->last_b}};
    for (unsigned i = 0; i < sizeof top / sizeof *top; i++)
        if (strcmp(top[i].name, name) == 0) return top[i].at;
    int l = 0, used = 0;
    if (sscanf(name, "blocks.%d.%n", &l, &used) != 1 || l < 0 || l >= L) return NULL;
    block *b = &w->blocks[l];
    const struct {
        const char *name;
        double *at;
    } inner[] = {{"adaLN_modulation.1.weight", b->mod_w},
                 {"adaLN_modulation.1.bias", b->mod_b},
                 {"attn.qkv.weight", b->qkv_w},
                 {"attn.qkv.bias", b->qkv_b},
                 {"attn.proj.weight", b->proj_w},
                 {"attn.proj.bias", b->proj_b},
                 {"mlp.fc1.weight", b->fc1_w},
                 {"mlp.fc1.bias", b->fc1_b},
                 {"mlp.fc2.weight", b->fc2_w},
                 {"mlp.fc2.bias", b->fc2_b}};
    for (unsigned i = 0; i < sizeof inner / sizeof *inner; i++)
        if (strcmp(inner[i].name, name + used) == 0) return inner[i].at;
    return NULL;
}
