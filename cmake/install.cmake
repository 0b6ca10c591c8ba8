# What `cmake --install` puts where: the program, both libraries, the one public header, pkg-config.
if(TARGET reel)
  install(TARGETS reel RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# Manual pages and completions are what the program itself prints.
if(TARGET reel AND NOT CMAKE_CROSSCOMPILING AND NOT REEL_SANITIZE)
  set(REEL_PRINTED ${CMAKE_BINARY_DIR}/printed)
  install(CODE "execute_process(COMMAND sh ${CMAKE_SOURCE_DIR}/scripts/print-manual $<TARGET_FILE:reel> ${REEL_PRINTED} COMMAND_ERROR_IS_FATAL ANY)")
  install(DIRECTORY ${REEL_PRINTED}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${REEL_PRINTED}/reel
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${REEL_PRINTED}/_reel DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${REEL_PRINTED}/reel.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
install(TARGETS reel_shared reel_static
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/reel/reel.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/reel)

# The prefix in reel.pc is relative to the file, so that an installed copy can be moved, and so that
# `cmake --install build --prefix X` is right whatever prefix the build was configured with.
file(RELATIVE_PATH REEL_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" REEL_PC_PREFIX "${REEL_PC_PREFIX}")
set(REEL_PC_PRIVATE "-lm -lpthread")
if(REEL_FFMPEG)
  # By name, not as Requires.private: FFmpeg's own private list names dozens of libraries that only a
  # static FFmpeg needs and nobody has installed.
  set(REEL_PC_PRIVATE "-lavformat -lavcodec -lswscale -lavutil ${REEL_PC_PRIVATE}")
endif()
if(REEL_ARCHIVE)
  set(REEL_PC_PRIVATE "-larchive ${REEL_PC_PRIVATE}")
endif()
if(REEL_SENTENCEPIECE)
  set(REEL_PC_PRIVATE "-lsentencepiece_train -lsentencepiece -lstdc++ ${REEL_PC_PRIVATE}")
endif()
configure_file(cmake/reel.pc.in reel.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/reel.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
