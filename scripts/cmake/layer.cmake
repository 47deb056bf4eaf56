# SPDX-License-Identifier: Apache-2.0
# chaperone_layer(NAME DIR folder [EXCLUDE subfolder…] [EXCLUDE_FILES file…] [USES layer…]
#                 [LINKS library…] [PROTOS file…] [PRECOMPILE header…])
# A layer is a static library of all .cpp files below its folder, and the layers it may use.
# A layer whose folder has no source yet is an interface library, so that others may name it.
function(chaperone_layer name)
  cmake_parse_arguments(ARG "" "DIR" "EXCLUDE;EXCLUDE_FILES;USES;LINKS;PROTOS;PRECOMPILE"
                        ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}
       ${CMAKE_SOURCE_DIR}/${ARG_DIR}/*.cpp)
  foreach(folder IN LISTS ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "^${ARG_DIR}/${folder}/")
  endforeach()
  foreach(file IN LISTS ARG_EXCLUDE_FILES)
    list(REMOVE_ITEM sources ${ARG_DIR}/${file})
  endforeach()
  foreach(proto IN LISTS ARG_PROTOS)
    if(EXISTS ${CMAKE_SOURCE_DIR}/${ARG_DIR}/${proto})
      chaperone_proto(generated ${ARG_DIR}/${proto})
      list(APPEND sources ${generated})
    endif()
  endforeach()

  set(visibility PUBLIC)
  if(sources)
    add_library(chaperone_${name} STATIC ${sources})
  else()
    add_library(chaperone_${name} INTERFACE)
    set(visibility INTERFACE)
  endif()
  target_link_libraries(chaperone_${name} ${visibility} chaperone_flags ${ARG_LINKS})
  if(ARG_PROTOS)
    target_link_libraries(chaperone_${name} ${visibility} protobuf::libprotobuf)
  endif()
  foreach(layer IN LISTS ARG_USES)
    target_link_libraries(chaperone_${name} ${visibility} chaperone_${layer})
  endforeach()
  if(sources)
    chaperone_precompile(chaperone_${name} ${ARG_PRECOMPILE})
  endif()
endfunction()

# chaperone_precompile(TARGET header…): reads these, and what nearly every file includes of the
# standard library, once for the target. Only to build sooner, and not in what is packaged: that
# build shows that every file of the programs includes what it needs.
set(CHAPERONE_COMMON_HEADERS <algorithm> <array> <chrono> <cstdint> <expected> <functional> <map>
    <memory> <optional> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>)
function(chaperone_precompile target)
  if(CHAPERONE_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${CHAPERONE_COMMON_HEADERS} ${ARGN})
    # Else ccache takes each header made anew for another one.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# Generates C++ from a .proto of the tree, to be included by its path in the tree
# ("userspace/record/record.pb.h").
function(chaperone_proto out file)
  string(REGEX REPLACE "\\.proto$" "" stem ${file})
  set(base ${CMAKE_BINARY_DIR}/generated/${stem}.pb)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/generated)
  add_custom_command(
    OUTPUT ${base}.cc ${base}.h
    COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}
            --cpp_out=${CMAKE_BINARY_DIR}/generated ${CMAKE_SOURCE_DIR}/${file}
    DEPENDS ${file} VERBATIM)
  # Generated code is held to its generator's warnings, not to ours.
  set_source_files_properties(${base}.cc PROPERTIES COMPILE_OPTIONS "-w")
  set(${out} ${base}.cc ${base}.h PARENT_SCOPE)
endfunction()

# chaperone_program(NAME main.cpp LAYER): skipped while its main does not exist.
function(chaperone_program name main layer)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${main})
    add_executable(${name} ${main})
    target_link_libraries(${name} PRIVATE chaperone_${layer})
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()
