/// Not part of the library but of each program that links to it, because only there it is known whether
/// Cairn's programs are those of a build tree or of an installed one.

#include "tests/harness/program.hpp"

const char* cairn::harness::program_folder() { return CAIRN_HARNESS_PROGRAMS; }
