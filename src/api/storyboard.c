/* Storyboards: the public view of pipeline/storyboard.h. */
#include "pipeline/storyboard.h"

#include "api/backend.h"
#include "base/env.h"

reel_storyboard_request reel_storyboard_request_default(void) {
    return (reel_storyboard_request){0};
}

reel_status reel_storyboard_make(reel_env *env, const reel_storyboard_request *request,
                                 reel_storyboard_fn *on_event, reel_cancel_fn *cancel,
                                 void *context) {
    reel_kernel_table *table;
    reel_backend backend;
    reel_status status = reel_backend_open(env, request->isa, request->bit_exact, &table, &backend);
    if (status != REEL_OK) return status;
    status = reel_storyboard_run(env, request, &backend, on_event, cancel, context);
    reel_kernel_table_free(env, &table);
    return status;
}
