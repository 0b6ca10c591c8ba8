#include "pipeline/rates.h"

#include <string.h>

static double total(const reel_profile_row *rows, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += rows[i].seconds;
    return sum;
}

reel_status reel_rates_measure(reel_env *env, reel_plan *plan, reel_rates *rates) {
    enum { RUNS = 2 };
    const int n = reel_plan_get_stats(plan).n_records;
    reel_profile_row *rows = reel_calloc(env, RUNS * (int64_t)n + 1, sizeof *rows, "rates");
    if (!rows) return REEL_E_NOMEM;
    reel_status status = REEL_OK;
    for (int i = 0; i < RUNS && status == REEL_OK; i++)
        status = reel_plan_run(plan, rows + i * n);
    const reel_profile_row *best = total(rows, n) < total(rows + n, n) ? rows : rows + n;
    for (int i = 0; i < n && status == REEL_OK; i++) {
        const int id = best[i].op->id;
        if (id < 0 || id >= REEL_MAX_RATES) continue;
        rates->op[id].seconds += best[i].seconds;
        rates->op[id].flops += best[i].flops;
        rates->op[id].bytes += best[i].bytes;
    }
    reel_free(env, rows);
    return status;
}

static double operand_bytes(const reel_call *call) {
    double bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        if (call->present[i]) bytes += (double)reel_tensor_bytes(&call->in[i]);
    for (int i = 0; i < call->n_out; i++)
        bytes += (double)reel_tensor_bytes(&call->out[i]);
    return bytes;
}

double reel_rates_predict(const reel_rates *rates, const reel_plan *plan) {
    double seconds = 0;
    const int n = reel_plan_get_stats(plan).n_records;
    for (int i = 0; i < n; i++) {
        const reel_call *call = reel_plan_call(plan, i);
        if (call->op->id < 0 || call->op->id >= REEL_MAX_RATES) continue;
        const struct reel_rate *rate = &rates->op[call->op->id];
        const double flops = call->op->flops ? call->op->flops(call) : 0;
        if (flops > 0 && rate->flops > 0)
            seconds += flops * rate->seconds / rate->flops;
        else if (rate->bytes > 0)
            seconds += operand_bytes(call) * rate->seconds / rate->bytes;
    }
    return seconds;
}
