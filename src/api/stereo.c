/* 3D: the public view of pipeline/stereo.h. */
#include "pipeline/stereo.h"

#include "api/backend.h"
#include "base/env.h"

reel_stereo_request reel_stereo_request_default(void) {
    return (reel_stereo_request){.kind = REEL_STEREO_SBS, .eyes_m = 0.1, .screen = 0.3};
}

reel_status reel_stereo_make(reel_env *env, const reel_stereo_request *request,
                             reel_event_fn *on_event, reel_cancel_fn *cancel, void *context) {
    reel_kernel_table *table;
    reel_backend backend;
    reel_status status = reel_backend_open(env, request->isa, false, &table, &backend);
    if (status != REEL_OK) return status;
    status = reel_stereo_run(env, request, &backend, on_event, cancel, context);
    reel_kernel_table_free(env, &table);
    return status;
}

reel_status reel_stereo_check(reel_env *env, const reel_stereo_request *request) {
    reel_kernel_table *table;
    reel_backend backend;
    reel_status status = reel_backend_open(env, request->isa, false, &table, &backend);
    if (status != REEL_OK) return status;
    status = reel_stereo_look(env, request, &backend);
    reel_kernel_table_free(env, &table);
    return status;
}
