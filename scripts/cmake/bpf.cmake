# SPDX-License-Identifier: Apache-2.0
# chaperone_bpf(LAYER): compiles each bpf/*.bpf.c to a CO-RE object and a skeleton header,
# included by the layer as "bpf/NAME.skel.h".
find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin)
find_program(BPF_CLANG NAMES clang-19 clang)

function(chaperone_bpf layer)
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bpf/*.bpf.c)
  set(skeletons)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/generated/bpf)
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME)
    string(REPLACE ".bpf.c" "" name ${name})
    set(out ${CMAKE_BINARY_DIR}/generated/bpf/${name})
    add_custom_command(
      OUTPUT ${out}.skel.h
      COMMAND ${BPF_CLANG} -g -O2 -mcpu=v3 --target=bpf -Wall -Werror
              -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
              -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/bpf
              -fdebug-prefix-map=${CMAKE_SOURCE_DIR}=. -MD -MF ${out}.d -MT ${out}.skel.h
              -c ${source} -o ${out}.raw.o
      COMMAND ${BPFTOOL} gen object ${out}.bpf.o ${out}.raw.o
      COMMAND ${BPFTOOL} gen skeleton ${out}.bpf.o name ${name}_bpf > ${out}.skel.h
      DEPENDS ${source} DEPFILE ${out}.d VERBATIM)
    list(APPEND skeletons ${out}.skel.h)
  endforeach()
  if(skeletons)
    add_custom_target(chaperone_bpf_skeletons DEPENDS ${skeletons})
    get_target_property(type chaperone_${layer} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      add_dependencies(chaperone_${layer} chaperone_bpf_skeletons)
    endif()
  endif()
endfunction()
