# The bench, build/bench: the machine's ceilings and every kernel's rate against its own. `make bench` runs it.
file(GLOB REEL_BENCH_SOURCES CONFIGURE_DEPENDS bench/*.c)
add_executable(bench_program ${REEL_BENCH_SOURCES})
set_target_properties(bench_program PROPERTIES OUTPUT_NAME bench)
target_link_libraries(bench_program PRIVATE reel_static ${CMAKE_DL_LIBS})
if(REEL_DNNL) # the peer; nothing else links it
  find_library(REEL_DNNL_LIBRARY dnnl)
  find_path(REEL_DNNL_INCLUDE dnnl.h)
  if(NOT REEL_DNNL_LIBRARY OR NOT REEL_DNNL_INCLUDE)
    message(FATAL_ERROR "oneDNN not found: install libdnnl-dev, or configure with -DREEL_DNNL=OFF")
  endif()
  target_link_libraries(bench_program PRIVATE ${REEL_DNNL_LIBRARY})
endif()
target_compile_definitions(bench_program PRIVATE REEL_DNNL=$<BOOL:${REEL_DNNL}>)
