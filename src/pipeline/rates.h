/* Rates: how fast this machine runs the operations of a model, from one short measured run, and how
 * long another plan of the same operations will take.
 *
 * An operation that counts arithmetic is as fast as its arithmetic, one that does not is as fast as
 * the memory its operands move through.
 */
#ifndef REEL_PIPELINE_RATES_H
#define REEL_PIPELINE_RATES_H

#include "tape/plan.h"

enum { REEL_MAX_RATES = 256 };

typedef struct reel_rates {
    struct reel_rate {
        double seconds, flops, bytes;
    } op[REEL_MAX_RATES]; /* by the op's id */
} reel_rates;

/* Runs a plan twice and adds the faster run's records to rates, which begin zeroed. */
REEL_MUST_USE reel_status reel_rates_measure(reel_env *env, reel_plan *plan, reel_rates *rates);

/* Seconds a plan, dry or not, will take. Operations that were never measured count nothing. */
double reel_rates_predict(const reel_rates *rates, const reel_plan *plan);

#endif
