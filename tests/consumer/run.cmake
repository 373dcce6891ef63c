# Installs a build of Cairn, builds the project beside this file against the installed tree alone, runs its tests, and
# removes all of it again. Run as a test of Cairn (tests/CMakeLists.txt), which passes CAIRN_BUILD, SOURCE, WORK,
# GENERATOR, CONFIG, SANITIZE, LAUNCHER and COMPILER. WORK is always the same folder, so that ccache knows its files.
file(REMOVE_RECURSE ${WORK})

function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    file(REMOVE_RECURSE ${WORK})
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed (${status}): ${command}\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

step(${CMAKE_COMMAND} --install ${CAIRN_BUILD} --prefix ${WORK}/first)
# The tree may be moved after it was installed.
file(RENAME ${WORK}/first ${WORK}/prefix)

# The libraries carry their sanitizers' calls, so whoever links to them needs the same.
set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE} -fno-omit-frame-pointer")
endif()
set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${LAUNCHER}")
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -D CMAKE_BUILD_TYPE=${CONFIG}
     -D CMAKE_CXX_COMPILER=${COMPILER} "-DCMAKE_CXX_FLAGS=${flags}"
     -D CMAKE_PREFIX_PATH=${WORK}/prefix)
step(${CMAKE_COMMAND} --build ${WORK}/build --parallel 2)

# Not by accident with the programs of the build tree.
unset(ENV{CAIRN_BIN_DIR})
step(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/build --output-on-failure)
file(REMOVE_RECURSE ${WORK})
