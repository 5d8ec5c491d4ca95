// The simulator as a server: the console on one TCP port, commands and events on a second one.
//
// One host at a time has the console; a second connection is closed at once. Several may hold the second
// port. Besides the commands of the simulator it takes `ready`, answered by the ready event, and `hangup`,
// which closes the console's connection: whatever was under way on it is gone. Whoever has sent another
// command than `ready` is an owner.
#pragma once

#include <memory>
#include <string>

#include "host.h"

struct ServerOptions {
    std::string console;       // HOST:PORT; port 0: any that is free
    std::string control;       // the same, of the second port
    double linger_seconds = 0; // the simulator ends when it had no owner for so long; 0: never
    std::string description;   // JSON members of the ready event
};

std::unique_ptr<Host> make_server(const ServerOptions &options);

// Asks at a control port for the ready event: exit code, 0 for a simulator that answers.
int probe(const std::string &control, double timeout_seconds);
