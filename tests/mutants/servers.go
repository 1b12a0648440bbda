// SPDX-License-Identifier: GPL-2.0-or-later

// Servers of Go: each says which name it read from which port of the client's.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func say(kind string, address string, name string) {
	_, port, _ := net.SplitHostPort(address)
	fmt.Printf("%s %s %q\n", kind, port, name)
}

func main() {
	log.SetOutput(io.Discard)
	certificate, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		os.Exit(1)
	}
	secure, _ := net.Listen("tcp", "127.0.0.1:0")
	plain, _ := net.Listen("tcp", "127.0.0.1:0")
	say("go-tls-listens", secure.Addr().String(), "")
	say("go-http-listens", plain.Addr().String(), "")
	go http.Serve(plain, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say("go-http", r.RemoteAddr, r.Host+" "+r.RequestURI)
	}))
	for {
		connection, err := secure.Accept()
		if err != nil {
			continue
		}
		go func() {
			config := &tls.Config{Certificates: []tls.Certificate{certificate},
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					say("go-tls", hello.Conn.RemoteAddr().String(), hello.ServerName)
					return nil, nil
				}}
			tls.Server(connection, config).Handshake()
			connection.Close()
		}()
	}
}
