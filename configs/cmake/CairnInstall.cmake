# Installs the libraries, the programs and a package: another project says find_package(cairn) and links to
# cairn::core, cairn::actors, cairn::net or, for its tests, cairn::harness. Include directives are the same inside and outside: "core/ids.hpp".
option(CAIRN_INSTALL "Make the install target" ${PROJECT_IS_TOP_LEVEL})
if(NOT CAIRN_INSTALL)
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(cairn_harness_data_dir ${CMAKE_INSTALL_DATADIR}/cairn/harness)
set(cairn_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)

set(cairn_libraries cairn_options cairn_core cairn_actors cairn_net)
set(cairn_programs cairnd cairn)
if(TARGET cairn_harness)
  list(APPEND cairn_libraries cairn_harness)
  list(APPEND cairn_programs cairn-faulty-host)
endif()
foreach(library IN LISTS cairn_libraries)
  string(REPLACE cairn_ "" part ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${part})
endforeach()
install(TARGETS ${cairn_libraries} EXPORT cairnTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(TARGETS ${cairn_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR}/actors ${PROJECT_SOURCE_DIR}/net
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn COMPONENT development
        FILES_MATCHING PATTERN "*.hpp")
if(TARGET cairn_harness)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tests/harness DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn/tests
          COMPONENT development FILES_MATCHING PATTERN "*.hpp")
  install(FILES ${PROJECT_SOURCE_DIR}/tests/harness/program_folder.cpp ${PROJECT_SOURCE_DIR}/tests/harness/README.md
          DESTINATION ${cairn_harness_data_dir} COMPONENT development)
endif()
install(PROGRAMS ${PROJECT_SOURCE_DIR}/configs/make-certs.sh DESTINATION ${CMAKE_INSTALL_BINDIR}
        RENAME cairn-make-certs COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cairnConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/cairnConfig.cmake
                              INSTALL_DESTINATION ${cairn_package_dir}
                              NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cairnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cairnConfig.cmake ${PROJECT_BINARY_DIR}/cairnConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindCAF.cmake
        DESTINATION ${cairn_package_dir} COMPONENT development)
install(EXPORT cairnTargets NAMESPACE cairn:: DESTINATION ${cairn_package_dir} COMPONENT development)
