# Every test the project has, found by name:
#
#   src/<folder>/<x>_test.c, tests/<folder>/<x>_test.c   program build/tests/<folder>_<x>_test (cmocka);
#                          a tests/<folder>/<x>.c beside it is compiled in
#   tests/replay/*.c       program build/tests/golden, run over every case of tests/golden
#   tests/e2e/<x>.sh       e2e_<x>: a script that drives the built program
#   tests/fuzz/<x>_fuzz.c  fuzz_<x>_replay: the target over its corpus; a libFuzzer program with REEL_FUZZ
#
# scripts/run-test turns a skipped case into exit 77, so that ctest counts it and never calls it a pass.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
file(GLOB REEL_SUPPORT CONFIGURE_DEPENDS tests/support/*.c tests/golden/*.c)
add_library(reel_test_support STATIC ${REEL_SUPPORT})
target_include_directories(reel_test_support PUBLIC tests)
target_link_libraries(reel_test_support PUBLIC reel_static PkgConfig::CMOCKA)

set(REEL_RUN_TEST ${CMAKE_SOURCE_DIR}/scripts/run-test)
set(REEL_TEST_TIMEOUT 120)
if(REEL_SANITIZE OR CMAKE_CROSSCOMPILING OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(REEL_TEST_TIMEOUT 600)
endif()

# reel_test(name command...): registers one test, run from the root of the source.
function(reel_test name)
  add_test(NAME ${name} COMMAND ${REEL_RUN_TEST} ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${REEL_TEST_TIMEOUT})
endfunction()

function(reel_test_program target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE reel_test_support)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

file(GLOB_RECURSE REEL_TEST_SOURCES CONFIGURE_DEPENDS src/*_test.c tests/*_test.c)
if(REEL_FUZZ)
  set(REEL_TEST_SOURCES)
elseif(REEL_SANITIZE STREQUAL "thread")
  # What starts threads, and one op of each way of splitting work; all the others go through the same
  # two calls, and ThreadSanitizer makes their arithmetic twenty times slower. tests/fault is left
  # out: it writes videos, by FFmpeg's threads, whose atomics ThreadSanitizer cannot see.
  list(FILTER REEL_TEST_SOURCES INCLUDE REGEX
       "/(base|tape|cpu|golden)/[a-z0-9_]*_test\\.c$|/ops/(activation|linear|reduce|norm|concat)_test\\.c$")
endif()
foreach(source ${REEL_TEST_SOURCES})
  get_filename_component(directory ${source} DIRECTORY)
  get_filename_component(folder ${directory} NAME)
  get_filename_component(name ${source} NAME_WE)
  set(sources ${source})
  string(REGEX REPLACE "_test$" ".c" sibling ${name})
  if(directory MATCHES "^${CMAKE_SOURCE_DIR}/tests/" AND EXISTS ${directory}/${sibling})
    list(APPEND sources ${directory}/${sibling})
  elseif(directory MATCHES "^${CMAKE_SOURCE_DIR}/src/app/cli" AND EXISTS ${directory}/${sibling})
    list(APPEND sources ${directory}/${sibling}) # the program's files are in no library
  endif()
  set(target ${folder}_${name})
  reel_test_program(${target} ${sources})
  reel_test(${target} $<TARGET_FILE:${target}>)
endforeach()

# ---- golden cases, whatever their size -----------------------------------------------------------
if(NOT REEL_FUZZ AND NOT REEL_SANITIZE STREQUAL "thread")
  file(GLOB REEL_REPLAY CONFIGURE_DEPENDS tests/replay/*.c)
  if(CMAKE_CROSSCOMPILING) # Debian 12's cross compiler fails internally on a loop of this file
    set_source_files_properties(tests/replay/traces.c PROPERTIES COMPILE_OPTIONS -fno-tree-vectorize)
  endif()
  reel_test_program(golden ${REEL_REPLAY})
  file(GLOB REEL_GOLDEN RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS
       tests/golden/*/config.json tests/golden/*/traces.json)
  list(TRANSFORM REEL_GOLDEN REPLACE "/[^/]*$" "")
  reel_test(golden_f32 $<TARGET_FILE:golden> ${REEL_GOLDEN})
  reel_test(golden_bf16 $<TARGET_FILE:golden> --bf16 ${REEL_GOLDEN})
endif()

# ---- end to end --------------------------------------------------------------------------------
# They run the built program and library. Under AddressSanitizer, which maps terabytes, those that
# measure memory or link against the library are left out; under ThreadSanitizer only the commands
# run: more frames would be encoded by FFmpeg's own threads, whose atomics it cannot see.
file(GLOB REEL_E2E CONFIGURE_DEPENDS tests/e2e/*.sh)
if(TARGET reel AND NOT CMAKE_CROSSCOMPILING)
  foreach(source ${REEL_E2E})
    get_filename_component(name ${source} NAME_WE)
    if(name MATCHES "^(lib|tiny_model)$"
       OR (REEL_SANITIZE STREQUAL "address" AND name MATCHES "^(generate_long|generate_memory|install|symbols)$")
       OR (REEL_SANITIZE STREQUAL "thread" AND NOT name MATCHES "^cli(_|$)"))
      continue()
    endif()
    reel_test(e2e_${name} sh ${source})
    set_tests_properties(e2e_${name} PROPERTIES ENVIRONMENT
      "REEL=$<TARGET_FILE:reel>;BUILD=${CMAKE_BINARY_DIR};SOURCE=${CMAKE_SOURCE_DIR};CC=${CMAKE_C_COMPILER};VERSION=${PROJECT_VERSION}")
  endforeach()
endif()

# ---- fuzz targets --------------------------------------------------------------------------------
file(GLOB REEL_FUZZ_SOURCES CONFIGURE_DEPENDS tests/fuzz/*_fuzz.c)
foreach(source ${REEL_FUZZ_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" stem ${name})
  if(REEL_FUZZ)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE reel_static)
    target_include_directories(${name} PRIVATE tests)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  elseif(NOT REEL_SANITIZE STREQUAL "thread") # they have one thread
    reel_test_program(fuzz_${stem}_replay ${source} tests/fuzz/replay.c)
    reel_test(fuzz_${stem}_replay $<TARGET_FILE:fuzz_${stem}_replay>
              ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${stem})
  endif()
endforeach()
