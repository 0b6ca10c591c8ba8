# The bench, build/bench: the machine's ceilings and every kernel's rate against its own. `make bench` runs it.
file(GLOB REEL_BENCH_SOURCES CONFIGURE_DEPENDS bench/*.c)
add_executable(bench_program ${REEL_BENCH_SOURCES})
set_target_properties(bench_program PROPERTIES OUTPUT_NAME bench)
target_link_libraries(bench_program PRIVATE reel_static ${CMAKE_DL_LIBS})
