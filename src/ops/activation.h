/* Activation functions, as scalars: y = f(x) and dy/dx, in double.
 *
 * gelu_tanh: Hendrycks & Gimpel 2016, eq. 2 (the tanh approximation); gelu_erf: x Phi(x), eq. 1;
 * silu: x sigmoid(x), Elfwing et al. 2017.
 */
#ifndef REEL_OPS_ACTIVATION_H
#define REEL_OPS_ACTIVATION_H

typedef enum reel_activation {
    REEL_ACT_NONE,
    REEL_ACT_GELU_TANH,
    REEL_ACT_GELU_ERF,
    REEL_ACT_SILU,
    REEL_ACT_COUNT,
} reel_activation;

double reel_activation_value(reel_activation f, double x);
double reel_activation_slope(reel_activation f, double x);
/* "none", "gelu_tanh", "gelu_erf", "silu". Static storage. */
const char *reel_activation_name(reel_activation f);

#endif
