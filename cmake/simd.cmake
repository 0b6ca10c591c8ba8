# Kernels below src/cpu/simd/ are written once over src/cpu/simd/vec.h and compiled once for each
# instruction set; the program picks one at run time. Each compilation sees REEL_ISA (the suffix its
# symbols get) and REEL_ISA_LEVEL (the order in cpu/isa.h). Contraction to FMA is allowed here, and only here.
file(GLOB REEL_SIMD_SOURCES CONFIGURE_DEPENDS src/cpu/simd/*.c)
list(FILTER REEL_SIMD_SOURCES EXCLUDE REGEX "_test\\.c$")
set(REEL_SIMD_OBJECTS)
if(REEL_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(REEL_SIMD_OPTIMISATION) # the build type's own; at -O3 instrumented vector code takes minutes to compile
else()
  set(REEL_SIMD_OPTIMISATION -O3)
endif()

function(reel_simd_level name level)
  if(NOT REEL_SIMD_SOURCES)
    return()
  endif()
  add_library(reel_simd_${name} OBJECT ${REEL_SIMD_SOURCES})
  set_target_properties(reel_simd_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(reel_simd_${name} PRIVATE src include)
  target_compile_definitions(reel_simd_${name} PRIVATE REEL_ISA=${name} REEL_ISA_LEVEL=${level})
  target_compile_options(reel_simd_${name} PRIVATE ${REEL_SIMD_OPTIMISATION} -ffp-contract=fast -Wno-psabi ${ARGN})
  set(REEL_SIMD_OBJECTS ${REEL_SIMD_OBJECTS} $<TARGET_OBJECTS:reel_simd_${name}> PARENT_SCOPE)
endfunction()

reel_simd_level(portable 0)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  reel_simd_level(avx2 1 -mavx2 -mfma -mf16c)
  reel_simd_level(avx512 2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  reel_simd_level(avx512_bf16 3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mavx512vnni -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  reel_simd_level(amx 4 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8 -mavx512vnni -mavx2 -mfma -mf16c -mprefer-vector-width=512)
endif()
