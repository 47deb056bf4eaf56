# SPDX-License-Identifier: Apache-2.0
# chaperone_profile(TARGET): a release build is laid out and inlined by how often which code ran
# under the benchmarks. scripts/profile has counted that (with CHAPERONE_PROFILE=count); what has
# changed since is built as if nothing were known of it.
set(CHAPERONE_PROFILE use CACHE STRING "Of release builds: use the profile, count for one, or none")
find_program(LLVM_PROFDATA NAMES llvm-profdata-19 llvm-profdata)

if(NOT CHAPERONE_PROFILE MATCHES "^(use|count|none)$")
  message(FATAL_ERROR "CHAPERONE_PROFILE is use, count or none, not ${CHAPERONE_PROFILE}")
endif()

function(chaperone_profile target)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR CHAPERONE_PROFILE STREQUAL "none")
    return()
  endif()
  set(text ${CMAKE_SOURCE_DIR}/packaging/chaperone.proftext)
  # A function of one file is known by the file's name, wherever the checkout lies.
  set(flags "SHELL:-mllvm -static-func-full-module-prefix=false")
  if(CHAPERONE_PROFILE STREQUAL "count")
    set(count -fprofile-generate=${CMAKE_BINARY_DIR}/counts)
    target_link_options(${target} INTERFACE ${count})
    # Several threads count.
    list(APPEND flags ${count} -fprofile-update=atomic)
  elseif(NOT EXISTS ${text})
    message(WARNING "There is no ${text}: make it by scripts/profile")
  elseif(LLVM_PROFDATA)
    # Another profile has another name: what was built by the one before is built anew.
    file(SHA256 ${text} digest)
    string(SUBSTRING ${digest} 0 12 digest)
    set(profile chaperone-${digest}.profdata)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${text})
    execute_process(COMMAND ${LLVM_PROFDATA} merge ${text} -o ${CMAKE_BINARY_DIR}/${profile}
                    COMMAND_ERROR_IS_FATAL ANY)
    # Ninja compiles all in the build folder: by its name ccache finds what another clone has built.
    if(NOT CMAKE_GENERATOR MATCHES "Ninja")
      set(profile ${CMAKE_BINARY_DIR}/${profile})
    endif()
    list(APPEND flags -fprofile-use=${profile} -Wno-profile-instr-unprofiled
         -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  else()
    message(WARNING "Without llvm-profdata (llvm-19) the programs are slower than those packaged")
  endif()
  target_compile_options(${target} INTERFACE ${flags})
endfunction()
