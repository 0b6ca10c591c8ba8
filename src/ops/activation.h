/* activation: y = f(x), elementwise, and the scalar functions behind it.
 *
 * gelu_tanh: Hendrycks & Gimpel 2016, eq. 2 (the tanh approximation); gelu_erf: x Phi(x), eq. 1;
 * silu: x sigmoid(x), Elfwing et al. 2017.
 */
#ifndef REEL_OPS_ACTIVATION_H
#define REEL_OPS_ACTIVATION_H

#include "ops/ops.h"

typedef enum reel_activation {
    REEL_ACT_NONE,
    REEL_ACT_GELU_TANH,
    REEL_ACT_GELU_ERF,
    REEL_ACT_SILU,
    REEL_ACT_COUNT,
} reel_activation;

/* attr of activation and activation_backward. */
typedef struct reel_activation_attr {
    int32_t act;       /* reel_activation */
    int32_t out_dtype; /* of y, or of dx */
} reel_activation_attr;

/* x [...] -> y [...] of x's dtype. x f32 or bf16. */
reel_var reel_activate(reel_tape *tape, reel_var x, reel_activation f);
/* dx = f'(x) dy, in x's dtype (f32 for a parameter): what linear's gradient needs as well. */
reel_var reel_activate_backward(reel_tape *tape, reel_activation f, reel_var x, reel_var dy);

/* f(x) and f'(x), in double: the definition. */
double reel_activation_value(reel_activation f, double x);
double reel_activation_slope(reel_activation f, double x);
/* "none", "gelu_tanh", "gelu_erf", "silu". Static storage. */
const char *reel_activation_name(reel_activation f);

#endif
