#include "net/cairnd.hpp"

int main(int argc, char** argv) { return cairn::run_cairnd(argc, argv); }
