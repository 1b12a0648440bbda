// SPDX-License-Identifier: GPL-2.0-or-later

// Servers of Go. That of TLS says which name it read from which port of the client's, that of HTTP answers with it.
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

func main() {
	log.SetOutput(io.Discard)
	certificate, err := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
	if err != nil {
		os.Exit(1)
	}
	secure, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	go http.ListenAndServe(os.Args[2], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := fmt.Sprintf("said:%q", r.Host+" "+r.RequestURI)
		w.Header().Set("X-Said", said) // HEAD has no body
		fmt.Fprintln(w, said)
	}))
	for {
		connection, err := secure.Accept()
		if err != nil {
			continue
		}
		go func() {
			config := &tls.Config{Certificates: []tls.Certificate{certificate},
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					_, port, _ := net.SplitHostPort(hello.Conn.RemoteAddr().String())
					fmt.Printf("go-tls %s %q\n", port, hello.ServerName)
					return nil, nil
				}}
			tls.Server(connection, config).Handshake()
			connection.Close()
		}()
	}
}
